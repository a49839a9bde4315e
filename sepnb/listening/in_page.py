"""Widgets in a page that no notebook stands behind: what is to be read, heard or seen in their place."""

from collections.abc import Callable


class InPage:
    """Goes before a widget's class; the widget says in `in_page` what stands for it, as HTML.

    A live notebook shows the widget. In an exported page without the state of widgets, the HTML takes its place.
    """

    in_page: Callable[[], str]  # HTML that needs no JavaScript

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict] | dict | None:
        shown = super()._repr_mimebundle_(**options)
        bundle = shown[0] if isinstance(shown, tuple) else shown
        if bundle is not None:
            bundle["text/html"] = self.in_page()
        return shown
