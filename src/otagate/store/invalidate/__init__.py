"""Telling a CDN that something behind it changed: one module per kind of CDN."""
