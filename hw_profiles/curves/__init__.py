"""Predictors of kernel and collective times: mechanism first, then a bounded fitted correction. numpy alone."""
