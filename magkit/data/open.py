"""A data set of any format from where it stands."""

from __future__ import annotations

from magkit.data import plan as plans
from magkit.data import published
from magkit.data.dataset import DataSet, StoredScenes
from magkit.data.folder import FolderMembers
from magkit.data.plan import read_plan
from magkit.data.published import PublishedScenes
from magkit.data.recipe import open_recipe
from magkit.data.shards import TarMembers
from magkit.data.store import Store
from magkit.errors import MagkitError


def open_dataset(location: str) -> DataSet:
    """Open a data set: a folder, tar files, a recipe, or the published layout.

    Args:
        location: the folder, local or a URL such as `gs://bucket/triplets`; a recipe's one file
            may be named as well.

    Raises:
        MagkitError: there is none, it is incomplete or damaged, or its sources have changed.
    """
    place, slash, name = location.rpartition("/")
    if name.endswith(".json"):
        store, file = Store(place if slash else "."), name
    else:
        store, file = Store(location), plans.FILE
    if not store.has(file):
        if store.has(published.ALPHAS):
            return PublishedScenes(store)
        hint = f"magkit gen-data writes one; others hold {published.ALPHAS}"
        raise MagkitError(f"{location} is no data set: it has no {file}", hint)
    plan = read_plan(store.read(file, plans.MOST_BYTES), store.path(file))
    if plan.format == "recipe":
        return open_recipe(plan, store.path(file))
    if plan.format == "published":
        return PublishedScenes(store)
    return StoredScenes((FolderMembers if plan.format == "folder" else TarMembers)(store, plan))
