# SPDX-License-Identifier: GPL-3.0-or-later
"""The test lab: private Docker Engines, images made offline, and a fleet of Docker hosts."""
