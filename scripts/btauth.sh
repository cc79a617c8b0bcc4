#!/usr/bin/env bash
# Installs bittensor 11.3.0 once, for the tests, and prints where its Python is: it has no axon any more, and signs HTTP requests
# by btauth/1.
exec "$(dirname "$0")/bittensor.sh" btauth
