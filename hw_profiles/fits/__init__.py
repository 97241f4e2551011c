"""Estimators, twins of the predictors in hw_profiles.curves: measured rows to coefficients."""
