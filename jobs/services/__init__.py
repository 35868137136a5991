"""The local services: Kafka, Cassandra, Redis and the app's own processes, under one supervisor.

``stack`` is the door: everything else renders configuration, finds ports or asks a service how it is.
"""
