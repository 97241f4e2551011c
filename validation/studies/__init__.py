"""Experiments on small models: what the training laws of LongCat-Flash do to routing and to loss."""
