"""Published measurements of whole clusters, beside what scenarios of them come to."""
