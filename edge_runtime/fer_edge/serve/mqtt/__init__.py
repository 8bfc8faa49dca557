"""MQTT: the run's state, label changes and a description for Home Assistant, published to a broker.

`address` is where the broker is, `topics` what is published where, `state` when, `discovery` the description. `client`
keeps the connection, and `sink` takes the results.
"""
