"""What is to be computed: models, layouts, routing, op graphs. No simpy, no hardware numbers."""
