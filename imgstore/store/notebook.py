"""How a store shows itself in a notebook: a card that stays, and a view that is moved about in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgstore.store.views import Views

if TYPE_CHECKING:
    from imgstore.web.widget import StoreView

__all__ = ["Notebook"]


class Notebook(Views):
    """The part of `ImgStore` that notebooks ask."""

    def _repr_html_(self) -> str:
        from imgstore.web import as_html

        return as_html(self, self._facts())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def view(self, position: int = 0) -> StoreView:
        """Look at the frames in a notebook: frame, slider, playing, and where some are missing.

        Shows itself as the last line of a cell. The store must stay open. A picture stays in the notebook when it is saved.

        Parameters
        ----------
        position : int
            Of the frame that is shown first.

        Returns
        -------
        StoreView
            A widget; its ``position`` can be read and set.

        Raises
        ------
        ImportError
            anywidget is not here; ``pip install 'imgstore[notebook]'`` brings it.
        ValueError
            The store is closed.
        """
        from imgstore.web import view

        return view(self, position)
