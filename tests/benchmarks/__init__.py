# SPDX-License-Identifier: GPL-3.0-or-later
"""Speed and memory of the modules beside tar, zstd and restic, on the same data in the same run."""
