"""What is in the test shop: its tables, and the products that a test buys or cannot buy?"""

import json
import os
import sys
from decimal import Decimal

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402  (models need the set-up before)
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from oscar.core.loading import get_model  # noqa: E402

# title, price, stock, role.  The simple search matches by substring: one word, one set.
PRODUCTS = [
    ("Blue Mug", "8.50", 1000, "plenty"),
    ("Red Mug", "8.50", 1000, None),
    ("Green Mug", "9.00", 1000, None),
    ("Travel Mug", "14.00", 1000, None),
    ("White Shirt", "19.99", 1000, None),
    ("Black Shirt", "19.99", 1000, None),
    ("Striped Shirt", "24.99", 1000, None),
    ("Linen Shirt", "39.00", 1000, None),
    ("Garden Chair", "89.00", 1000, None),
    ("Garden Table", "249.00", 1000, None),
    ("Antique Clock", "780.00", 1, "single"),
    ("Desk Lamp", "45.00", 0, "out_of_stock"),
]


def seed(email: str, password: str) -> dict[str, dict[str, object]]:
    """Fill the empty tables, with one member; return each product's facts by slug."""
    Country = get_model("address", "Country")
    Category = get_model("catalogue", "Category")
    Product = get_model("catalogue", "Product")
    ProductClass = get_model("catalogue", "ProductClass")
    Partner = get_model("partner", "Partner")
    StockRecord = get_model("partner", "StockRecord")

    # Two countries: with one alone, oscar's address form has no country field.
    for code, name in (("GB", "United Kingdom"), ("NL", "Netherlands")):
        Country.objects.create(
            iso_3166_1_a2=code,
            iso_3166_1_a3=code + "X",
            printable_name=name,
            name=name,
            is_shipping_country=True,
        )
    get_user_model().objects.create_user(username="member", email=email, password=password)
    partner = Partner.objects.create(name="Warehouse", code="warehouse")
    kind = ProductClass.objects.create(name="Goods", requires_shipping=True, track_stock=True)
    category = Category.add_root(name="Everything", slug="everything")
    made: dict[str, dict[str, object]] = {}
    for number, (title, price, stock, role) in enumerate(PRODUCTS, start=1):
        product = Product.objects.create(
            title=title, product_class=kind, upc=f"UPC{number:04d}", structure="standalone"
        )
        product.categories.add(category)
        StockRecord.objects.create(
            product=product,
            partner=partner,
            partner_sku=f"SKU{number:04d}",
            price=Decimal(price),
            price_currency="GBP",
            num_in_stock=stock,
        )
        made[product.slug] = {
            "id": product.pk,
            "title": title,
            "role": role,
            "path": product.get_absolute_url(),
        }
    return made


def main() -> None:
    """Make the tables, fill them, print the products as JSON."""
    call_command("migrate", run_syncdb=True, interactive=False, verbosity=0)
    with transaction.atomic():
        made = seed(*sys.argv[1:])
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
