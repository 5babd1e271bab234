# Copyright (c) 2026, the steward.docker contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that say which Docker Engine a module talks to."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection options; the names, aliases and environment fallbacks are those of community.docker."""

    DOCUMENTATION = r"""
options:
  docker_host:
    description:
      - The URL of the Docker Engine, for example V(unix:///var/run/docker.sock), V(tcp://192.0.2.23:2376) or
        V(ssh://user@host).
      - Falls back to the environment variable E(DOCKER_HOST).
    type: str
    default: unix:///var/run/docker.sock
    aliases: [docker_url]
  tls_hostname:
    description:
      - The name that the engine's certificate is checked against, when it is not the one in O(docker_host).
      - Falls back to the environment variable E(DOCKER_TLS_HOSTNAME).
    type: str
  api_version:
    description:
      - The version of the Engine API to speak. V(auto) negotiates the newest that both sides know.
      - Falls back to the environment variable E(DOCKER_API_VERSION).
    type: str
    default: auto
    aliases: [docker_api_version]
  timeout:
    description:
      - How many seconds to wait for an answer of the engine.
      - Falls back to the environment variable E(DOCKER_TIMEOUT).
    type: int
    default: 60
  ca_path:
    description:
      - The file of the certificate authority that signed the engine's certificate.
      - When unset and the environment variable E(DOCKER_CERT_PATH) is set, C(ca.pem) in that directory.
    type: path
    aliases: [ca_cert, tls_ca_cert, cacert_path]
  client_cert:
    description:
      - The file of the client's TLS certificate.
      - When unset and the environment variable E(DOCKER_CERT_PATH) is set, C(cert.pem) in that directory.
    type: path
    aliases: [tls_client_cert, cert_path]
  client_key:
    description:
      - The file of the client's TLS key.
      - When unset and the environment variable E(DOCKER_CERT_PATH) is set, C(key.pem) in that directory.
    type: path
    aliases: [tls_client_key, key_path]
  tls:
    description:
      - Speak TLS to the engine. Implied by O(validate_certs=true).
      - Falls back to the environment variable E(DOCKER_TLS).
    type: bool
    default: false
  use_ssh_client:
    description: For an C(ssh://) URL, use the C(ssh) command of the host instead of the Python library paramiko.
    type: bool
    default: false
  validate_certs:
    description:
      - Whether the engine's certificate is verified when TLS is spoken.
      - The default is V(true) with TLS. This is where this collection differs from community.docker, whose default is
        V(false).
      - Falls back to the environment variable E(DOCKER_TLS_VERIFY).
    type: bool
    aliases: [tls_verify]
  debug:
    description: Add the engine's address, ID and versions to the result as RV(ignore:engine).
    type: bool
    default: false
requirements:
  - Docker Engine 20.10 or newer (Engine API 1.41 or newer)
  - Python 3.9 or newer on the host where the module runs
  - The Docker SDK for Python (Debian and Ubuntu package C(python3-docker), or C(docker) 7.1 or newer from PyPI)
"""
