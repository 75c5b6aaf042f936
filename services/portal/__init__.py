"""The portal: the web application, sign-in, one origin for all APIs. It owns no events.

`python -m services.portal web` answers people: pages, sign-in, and every service under /api.
`python -m services.portal provider` runs the small OpenID provider for places that have none.
"""
