-- The demo shop's tables. Money is in cents. Every statement may run again.

create table if not exists customers (
    id            bigint generated always as identity primary key,
    email         text not null unique,
    name          text not null,
    password_hash text not null,
    created_at    timestamptz not null default now()
);

create table if not exists products (
    id            integer generated always as identity primary key,
    sku           text not null unique,
    slug          text not null unique,
    name          text not null,
    category      text not null,
    description   text not null,
    price         integer not null check (price > 0),
    initial_stock integer not null check (initial_stock >= 0),
    stock         integer not null check (stock >= 0)
);
create index if not exists products_category on products (category);

create table if not exists coupons (
    code       text primary key,
    kind       text not null check (kind in ('percent', 'shipping')),
    percent    integer not null default 0 check (percent between 0 and 100),
    expires_at timestamptz
);

create table if not exists carts (
    id          uuid primary key,
    customer_id bigint references customers,
    coupon      text references coupons,
    state       text not null default 'open' check (state in ('open', 'ordered')),
    created_at  timestamptz not null default now()
);

create table if not exists cart_lines (
    cart_id    uuid not null references carts on delete cascade,
    product_id integer not null references products,
    quantity   integer not null check (quantity > 0),
    primary key (cart_id, product_id)
);

-- `synthetic` is the request header X-Synthetic, `run` its part after `sre/`: orders of probes and
-- load tests can be counted, and left out of the books.
create table if not exists orders (
    id          bigint generated always as identity primary key,
    number      text not null unique,
    cart_id     uuid not null unique references carts,
    customer_id bigint references customers,
    email       text not null,
    name        text not null,
    street      text not null,
    postcode    text not null,
    city        text not null,
    country     text not null,
    state       text not null default 'placed'
                check (state in ('placed', 'paid', 'cancelled', 'refunded')),
    coupon      text,
    subtotal    integer not null check (subtotal >= 0),
    discount    integer not null check (discount >= 0),
    shipping    integer not null check (shipping >= 0),
    total       integer not null check (total = subtotal - discount + shipping),
    synthetic   text,
    run         text,
    created_at  timestamptz not null default now()
);
create index if not exists orders_customer on orders (customer_id);
create index if not exists orders_run on orders (run) where run is not null;

-- `quantity` was sold, `taken` really left the stock. They differ after overselling alone.
create table if not exists order_lines (
    order_id   bigint not null references orders,
    product_id integer not null references products,
    quantity   integer not null check (quantity > 0),
    taken      integer not null check (taken between 0 and quantity),
    price      integer not null check (price > 0),
    primary key (order_id, product_id)
);
create index if not exists order_lines_product on order_lines (product_id);

create table if not exists payments (
    id         bigint generated always as identity primary key,
    order_id   bigint not null references orders,
    amount     integer not null check (amount >= 0),
    state      text not null check (state in ('captured', 'declined')),
    reference  text not null unique,
    created_at timestamptz not null default now()
);
create index if not exists payments_order on payments (order_id);
create unique index if not exists payments_captured_once on payments (order_id)
    where state = 'captured';

create table if not exists idempotency (
    key          text primary key,
    request_hash text not null,
    status       integer not null default 0,
    answer       jsonb not null default '{}',
    created_at   timestamptz not null default now()
);

create table if not exists shipments (
    order_id      bigint primary key references orders,
    tracking_code text not null unique,
    created_at    timestamptz not null default now(),
    stopped_at    timestamptz
);

create table if not exists refunds (
    id         bigint generated always as identity primary key,
    order_id   bigint not null unique references orders,
    amount     integer not null check (amount >= 0),
    created_at timestamptz not null default now()
);

-- What the books must always say; both are empty in a healthy shop.
create or replace view oversold as
    select p.sku, p.initial_stock, sum(l.quantity)::integer as sold
    from products p
    join order_lines l on l.product_id = p.id
    join orders o on o.id = l.order_id and o.state in ('placed', 'paid')
    group by p.id
    having sum(l.quantity) > p.initial_stock;

create or replace view stock_mismatch as
    select p.sku, p.initial_stock, p.stock, coalesce(s.taken, 0)::integer as taken
    from products p
    left join (
        select l.product_id, sum(l.taken) as taken
        from order_lines l
        join orders o on o.id = l.order_id and o.state in ('placed', 'paid')
        group by l.product_id
    ) s on s.product_id = p.id
    where p.initial_stock - p.stock <> coalesce(s.taken, 0);
