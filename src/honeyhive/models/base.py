"""What all models of the REST interface have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Model"]


class Model(BaseModel):
    """A frozen, validated value.

    Fields that the service has and we do not know are kept, so that a newer service loses nothing on its way through an
    older client. Fields with a name of their own on the wire can be given under either name.
    """

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True, protected_namespaces=())

    def to_json(self) -> bytes:
        """Return what travels: names of the wire, without what was left out, numbers that JSON lacks as null.

        Raises:
            ValueError: A value cannot be written as JSON; the message says which.
        """
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()
