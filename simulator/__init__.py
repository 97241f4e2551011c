"""What happens when: costs, engine, timelines, metrics, reports and the command line."""
