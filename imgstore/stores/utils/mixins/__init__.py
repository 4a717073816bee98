"""Modules of imgstore-shaliulab from which programs import."""
