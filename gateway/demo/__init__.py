"""`ticketgate demo`: real sample traffic through a fresh gateway, and what became of it."""
