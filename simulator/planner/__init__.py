"""Plans: the smallest, cheapest cluster that meets the targets."""
