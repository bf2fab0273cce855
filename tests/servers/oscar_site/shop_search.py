"""How does the test shop search without a search server: titles that hold every word?

Haystack's own simple backend takes oscar's filters (`is_public`, `structure`) for words to look for
and then looks for the last word alone: the catalogue's first page would be empty.
"""

from typing import Any

from haystack.backends import SearchNode
from haystack.backends.simple_backend import SimpleEngine, SimpleSearchBackend, SimpleSearchQuery
from haystack.models import SearchResult
from oscar.core.loading import get_model


class Backend(SimpleSearchBackend):
    """Answers from the product table."""

    def search(self, query_string: str, **kwargs: Any) -> dict[str, Any]:
        """One page of the products whose titles hold every word, and how many there are."""
        Product = get_model("catalogue", "Product")
        found = Product.objects.browsable().base_queryset().order_by("id")
        for word in query_string.split():
            if word != "*":
                found = found.filter(title__icontains=word)
        hits = found.count()
        page = found[kwargs.get("start_offset", 0) : kwargs.get("end_offset")]
        make = kwargs.get("result_class") or SearchResult
        results = []
        for product in page:
            result = make("catalogue", "product", product.pk, 0)
            result._model, result._object = Product, product  # spares a query for each
            results.append(result)
        return {"results": results, "hits": hits}


class Query(SimpleSearchQuery):
    """Keeps the words of the customer; every product of this shop passes oscar's filters."""

    def _build_sub_query(self, search_node: SearchNode) -> str:
        words = []
        for child in search_node.children:
            if isinstance(child, SearchNode):
                words.append(self._build_sub_query(child))
            elif child[0].startswith("content"):
                value = child[1]
                words.append(str(value.prepare(self) if hasattr(value, "prepare") else value))
        return " ".join(word for word in words if word)

    def build_query(self) -> str:
        """All the words, or a star for everything."""
        return self._build_sub_query(self.query_filter) or "*"


class Engine(SimpleEngine):
    """What HAYSTACK_CONNECTIONS names."""

    backend = Backend
    query = Query
