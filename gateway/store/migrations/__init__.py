"""How a data folder of an older Ticketgate becomes one of this."""
