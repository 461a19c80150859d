"""How one role tells another that there is work."""
