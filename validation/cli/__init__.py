"""The commands that judge, fit and import: validate, calibrate, import."""
