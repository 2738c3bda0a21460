# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of Glance that are copied between stores: each look at an image goes one step on.

Steps and refusals are those of glance/async_/flows/api_image_import.py and glance/api/v2/images.py, whose errors are
rendered by webob.
"""

from __future__ import annotations

HTTP = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "Content Too Large",
    504: "Gateway Timeout",
}


def refusal(status, message):
    """As webob writes it for one who accepts JSON."""
    return status, {
        "message": f"{message}<br /><br />\n\n\n",
        "code": f"{status} {HTTP[status]}",
        "title": HTTP[status],
    }


def image(key, name, stores="ceph", **values):
    """An image as Glance shows it."""
    hashes = {"os_hash_algo": "sha512", "os_hash_value": "5a1c", "checksum": "64d7"}
    return {"id": key, "name": name, "status": "active", "stores": stores, "size": 2048} | hashes | values


class CopyingGlance:
    """``broken`` stores take no copy; ``clones`` are stores whose images have some; ``stale`` locks are broken.

    ``slow`` is how many looks a deletion takes to which there is no answer in time, but ``silence``: None for none at
    all, or that of a load balancer.
    """

    def __init__(self, *images):
        self.images = {each["id"]: each for each in images}
        self.stores = [{"id": "ceph", "default": "true"}, {"id": "fast"}, {"id": "web", "read-only": "true"}]
        self.methods = ["glance-direct", "copy-image"]
        self.steps, self.damage, self.known = {}, {}, {}
        self.broken, self.clones, self.stale, self.hiccups = set(), set(), False, 0
        self.pause, self.allowed = 2, True
        self.slow, self.silence, self.leaving = 0, None, {}

    def answer(self, call, rest):
        """Status and body."""
        match [call.method, *rest]:
            case ["GET", "info", kind]:
                return self.info(kind)
            case ["GET", "images"]:
                assert call.query["visibility"] == "all"
                return 200, {"images": [each for each in self.images.values() if each["name"] == call.query["name"]]}
            case ["GET", "images", key]:
                return self.look(key)
            case ["POST", "images", key, "import"]:
                return self.copy(self.images[key], call.body)
            case ["DELETE", "stores", store, key]:
                return self.delete(self.images[key], store)
        return refusal(404, "The resource could not be found.")

    def info(self, kind):
        if kind == "import":
            return 200, {"import-methods": {"type": "array", "value": self.methods}}
        return (200, {"stores": self.stores}) if self.stores else refusal(404, "Multi backend is not supported")

    def look(self, key):
        if key not in self.images:
            return refusal(404, f"No image found with ID {key}")
        if self.hiccups and key in self.steps:
            self.hiccups -= 1
            return 500, None
        self.step(self.images[key])
        self.step_deletions(self.images[key])
        return 200, self.images[key]

    def begin(self, image, stores):
        """An import, which takes some looks for each store."""
        image |= {"os_glance_import_task": "task-1", "os_glance_importing_to_stores": "", "os_glance_failed_import": ""}
        self.steps[image["id"]] = [(name, left) for name in stores for left in range(self.pause, -1, -1)]
        image["os_glance_importing_to_stores"] = ",".join(stores)

    def step(self, image):
        steps = self.steps.get(image["id"])
        if steps is None:
            return
        if not steps:
            del self.steps[image["id"]]
            del image["os_glance_import_task"]
            image.update(self.damage)
            self.damage = {}
            return
        name, left = steps.pop(0)
        if left == self.pause:
            self.known[image["id"]] = image["stores"]
        if left == 0:
            importing = [each for each in image["os_glance_importing_to_stores"].split(",") if each != name]
            image["os_glance_importing_to_stores"] = ",".join(importing)
            # Saved as it was read before the data were written, a deletion meanwhile is undone.
            image["stores"] = self.known[image["id"]]
            key = "os_glance_failed_import" if name in self.broken else "stores"
            image[key] = ",".join(filter(None, [image[key], name]))

    def copy(self, image, body):
        assert body["method"] == {"name": "copy-image"} and body["all_stores_must_succeed"] is False
        if not self.allowed:
            return refusal(403, "You are not authorized to complete copy_image action.")
        if image["status"] != "active":
            return refusal(409, "Only images with status active can be targeted for copying")
        if "os_glance_import_task" in image:
            if not self.stale:
                return refusal(409, "Image has active task")
            # Before anything else is looked at.
            del image["os_glance_import_task"]
        present = [name for name in body["stores"] if name in image["stores"].split(",")]
        if present:
            return refusal(400, f"Image is already present at store '{present[0]}'")
        self.begin(image, body["stores"])
        return 202, None

    def delete(self, image, store):
        stores = image["stores"].split(",")
        if len(stores) == 1:
            return refusal(403, "Cannot delete image data from the only store containing it.")
        if store in self.clones:
            return refusal(409, f"The data for Image {image['id']} could not be deleted because it is in use")
        if store not in stores:
            return refusal(404, f"Image {image['id']} is not stored in store {store}.")
        if self.slow:
            self.leaving[store] = self.slow
            return self.silence
        self.drop(image, store)
        return 204, None

    @staticmethod
    def drop(image, store):
        image["stores"] = ",".join(each for each in image["stores"].split(",") if each != store)

    def step_deletions(self, image):
        for store, looks in self.leaving.items():
            self.leaving[store] = looks - 1
            if looks == 1:
                self.drop(image, store)
