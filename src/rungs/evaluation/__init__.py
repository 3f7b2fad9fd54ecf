"""Estimators on trained models: likelihood, activity of units, calibration."""
