"""What is kept: the journal, tickets, decisions and the outbox, each verb one transaction."""
