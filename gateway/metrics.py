"""What Prometheus may ask. Names begin with `ticketgate_`; labels are codes, never customers' words."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

registry = CollectorRegistry()

accepted = Counter("ticketgate_envelopes_accepted", "Envelopes journalled", ["connector", "account"], registry=registry)
redelivered = Counter(
    "ticketgate_envelopes_redelivered", "Envelopes we had already", ["connector", "account"], registry=registry
)
refused = Counter("ticketgate_refused", "Refused at the door", ["connector", "account", "code"], registry=registry)
processed = Counter(
    "ticketgate_envelopes_processed", "Envelopes processed", ["connector", "outcome"], registry=registry
)
tickets = Counter("ticketgate_tickets_created", "Tickets made", ["channel", "category", "priority"], registry=registry)
kernel_fallbacks = Counter(
    "ticketgate_kernel_fallbacks",
    "Left by durable_rules to the native kernel: a rule when compiled, a fact too wide, a failure of the library",
    ["reason"], registry=registry,
)  # fmt: skip
kernel_loads = Gauge(
    "ticketgate_kernel_loads", "Rule sets loaded into durable_rules by this process", registry=registry
)
fired = Counter("ticketgate_rules_fired", "Times each rule fired", ["rule"], registry=registry)
unrendered = Counter(
    "ticketgate_acknowledgements_unrendered", "Withheld since their template cannot be rendered", registry=registry
)
withheld = Counter(
    "ticketgate_acknowledgements_withheld", "Held back by a limit of the ledger", ["limit"], registry=registry
)
storms = Counter("ticketgate_acknowledgement_storms", "Times a storm stopped acknowledgements", registry=registry)
storm = Gauge("ticketgate_acknowledgement_storm", "1 while acknowledgements are stopped", registry=registry)
settled = Counter(
    "ticketgate_outgoing_settled", "What the outbox sent or gave up", ["target", "outcome"], registry=registry
)
accept_seconds = Histogram(
    "ticketgate_accept_seconds", "From whole message to durably ours", registry=registry,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)  # fmt: skip
process_seconds = Histogram(
    "ticketgate_process_seconds", "From received to decided", registry=registry,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)  # fmt: skip
waiting = Gauge("ticketgate_waiting", "Envelopes journalled and not yet processed", registry=registry)
oldest_waiting = Gauge("ticketgate_oldest_waiting_seconds", "Age of the oldest of them", registry=registry)
set_aside = Gauge(
    "ticketgate_set_aside", "Refused or failed: rows in quarantine but those only noted", registry=registry
)
outbox_waiting = Gauge("ticketgate_outbox_waiting", "Owed to the outside", registry=registry)
outbox_held = Gauge("ticketgate_outbox_held", "Made while outbound was off, and not retried", registry=registry)
outbox_dead = Gauge("ticketgate_outbox_dead", "Dead letters", registry=registry)
tickets_stored = Gauge("ticketgate_tickets", "Tickets stored", registry=registry)
last_accepted = Gauge(
    "ticketgate_last_accepted_timestamp_seconds", "When an account last brought something", ["connector", "account"],
    registry=registry,
)  # fmt: skip
look_ups = Counter("ticketgate_look_ups", "Look-ups elsewhere (outside.yaml)", ["name", "outcome"], registry=registry)
events_told = Counter(
    "ticketgate_events_told",
    "Events told to subscribers, and attempts that failed",
    ["name", "outcome"],
    registry=registry,
)
workers = Gauge("ticketgate_workers", "Worker processes that are ready; 0 where there are none", registry=registry)
workers_replaced = Counter(
    "ticketgate_workers_replaced", "Worker processes that ended, and were replaced", registry=registry
)
rules_reloaded = Counter("ticketgate_rules_reloaded", "Rule sets that were to go live", ["outcome"], registry=registry)
rules_refused = Gauge(
    "ticketgate_rules_refused", "1 while a changed rule set is refused and the old one goes on", registry=registry
)
redis_connected = Gauge(
    "ticketgate_redis_connected", "1 while bells ring by Redis, 0 while it is away; only where it is set", ["server"],
    registry=registry,
)  # fmt: skip
