"""How each helpdesk takes a ticket. One file a target."""
