# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of Glance to which data are uploaded, as glance/api/v2/image_data.py and images.py take them."""

from __future__ import annotations

import hashlib

from ansible_collections.lifeboat.cloud.tests.unit.copying_glance import refusal


class UploadingGlance:
    """``order`` is what was asked for; ``fails`` is the status of an upload, ``damages`` changes what is stored."""

    def __init__(self, *images):
        self.images = {each["id"]: each for each in images}
        self.data, self.order, self.algorithm = {}, [], "sha512"
        self.fails, self.damages, self.leaves, self.keeps = 0, False, "active", False

    def answer(self, call, rest):
        """Status and body."""
        match [call.method, *rest]:
            case ["GET", "images"]:
                assert "visibility" not in call.query
                return 200, {"images": [each for each in self.images.values() if each["name"] == call.query["name"]]}
            case ["POST", "images"]:
                return self.make(call.body)
            case ["PUT", "images", key, "file"] if key in self.images:
                return self.upload(self.images[key], call.body)
            case ["GET", "images", key] if key in self.images:
                return 200, self.images[key]
            case ["DELETE", "images", key] if key in self.images and not self.keeps:
                self.order.append(f"remove {key}")
                del self.images[key]
                return 204, None
        return refusal(404, "The resource could not be found.")

    def make(self, body):
        if not all(isinstance(value, str) for name, value in body.items() if name != "min_disk"):
            return refusal(400, "Provided object does not match schema 'image': 1 is not of type 'string'")
        key = f"made-{len(self.order)}"
        self.images[key] = {"id": key, "status": "queued", "os_hash_algo": None, "os_hash_value": None, **body}
        self.order.append(f"make {key}")
        return 201, self.images[key]

    def upload(self, image, data):
        self.order.append(f"upload {image['id']}")
        if self.fails:
            return refusal(self.fails, "There is not enough disk space on the image storage media.")
        stored = data[:-1] + b"?" if self.damages else data
        self.data[image["id"]] = stored
        digest = hashlib.new(self.algorithm, stored).hexdigest()
        image |= {"status": self.leaves, "os_hash_algo": self.algorithm, "os_hash_value": digest, "size": len(stored)}
        return 204, None
