"""The base image of sandboxes: what is in it, and two ways to build it, with a container registry and without."""

from agentrl.sandboxes.images.build import BuiltImage, build_image
from agentrl.sandboxes.images.recipe import BASE_IMAGE

__all__ = ["BASE_IMAGE", "BuiltImage", "build_image"]
