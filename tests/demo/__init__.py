# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration: a service loses its data and gets it back."""
