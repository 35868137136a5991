"""Examples of what is no JSON, for the OpenAPI document."""

from __future__ import annotations

EVENT_ID = "notifications-3-1742"
STREAM = """id: notifications-3-1741

id: notifications-3-1742
event: notification
data: {"id":"5470930914329116493","kind":"like","text":"Ada liked your photo.",\
"actor":{"id":"1000000000000000001","username":"ada","name":"Ada","verified":false},"at":1767323045678,\
"post_id":"1000000000000000003","comment_id":null,"story_id":null}

id: notifications-3-1743
event: withdrawal
data: {"id":"5470930914329116493","kind":"like"}

:
id: notifications-3-1750

id: notifications-3-2891
event: reload
data: {}

"""
"""As it comes: the place where it begins, a like, the end of it, a sign of life that moves the place on, and a gap."""
