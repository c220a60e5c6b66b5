//! What expressions cost: `cargo bench -p tradewind-expression`. A typical UpdateItem has to leave most of its 15 µs to
//! the wire and the engine.

use std::hint::black_box;
use std::time::Instant;

use tradewind_expression::{Condition, Kind, Placeholders, Projection, Update};
use tradewind_model::number::Number;
use tradewind_model::{Item, Type, Writer};

const UPDATE: &str = "SET #a = :v, cnt = if_not_exists(cnt, :z) + :one REMOVE former";
const CONDITION: &str = "attribute_exists(pk) AND cnt < :max AND begins_with(#a, :v)";
const PROJECTION: &str = "pk, #a, nested.core.deep, tags[1]";
const ROUNDS: u32 = 200_000;

fn main() {
    let item = item();
    println!("item of {} stored bytes", item.as_bytes().len());
    let update = Update::parse(UPDATE, &mut placeholders()).expect("valid");
    let condition = Condition::parse(Kind::Condition, CONDITION, &mut placeholders()).expect("valid");
    let projection = Projection::parse(PROJECTION, &mut placeholders()).expect("valid");
    measure("placeholders", placeholders);
    measure("update: placeholders, parse", || Update::parse(UPDATE, &mut placeholders()));
    measure("update: apply", || update.apply(item.as_ref(), Some(item.as_ref())));
    measure("update: placeholders, parse, apply", || {
        let update = Update::parse(UPDATE, &mut placeholders()).expect("valid");
        update.apply(item.as_ref(), Some(item.as_ref()))
    });
    measure("update: touched", || update.touched(item.as_ref()));
    measure("condition: placeholders, parse", || {
        Condition::parse(Kind::Condition, CONDITION, &mut placeholders())
    });
    measure("condition: holds", || condition.holds(Some(item.as_ref())));
    measure("projection: placeholders, parse", || Projection::parse(PROJECTION, &mut placeholders()));
    measure("projection: project", || projection.project(item.as_ref()));
}

fn measure<T>(name: &str, mut work: impl FnMut() -> T) {
    (0..ROUNDS / 10).for_each(|_| drop(black_box(work())));
    let started = Instant::now();
    (0..ROUNDS).for_each(|_| drop(black_box(work())));
    println!("{name:<40} {:>6} ns", started.elapsed().as_nanos() / u128::from(ROUNDS));
}

/// About 300 bytes, as an application's record has them.
fn item() -> Item {
    Item::build(|out| {
        text(out, "pk", "customer#0123456789");
        text(out, "sk", "order#2024-02-29T12:00:00Z");
        text(out, "name", "a value that is going to be replaced");
        text(out, "address", "1 Long Street, Some Town, A Country far away, 12345");
        text(out, "former", "goes");
        text(out, "status", "shipped");
        out.name("cnt");
        out.number(Number::from(41));
        out.name("total");
        out.number(Number::from(123_456));
        out.name("tags");
        let mark = out.begin(Type::L);
        ["red", "green", "blue"].iter().for_each(|tag| out.string(tag));
        out.end_list(mark, 3);
        out.name("nested");
        let outer = out.begin(Type::M);
        out.name("core");
        let inner = out.begin(Type::M);
        text(out, "deep", "value");
        text(out, "other", "value");
        out.end_map(inner);
        out.end_map(outer);
    })
}

fn text(out: &mut Writer, name: &str, value: &str) {
    out.name(name);
    out.string(value);
}

fn placeholders() -> Placeholders {
    let stored = |write: &dyn Fn(&mut Writer)| {
        let mut out = Writer::with_capacity(32);
        write(&mut out);
        out.finish()
    };
    Placeholders::new(
        vec![("#a".to_owned(), "name".to_owned())],
        vec![
            (":v".to_owned(), stored(&|out| out.string("a new value"))),
            (":z".to_owned(), stored(&|out| out.number(Number::ZERO))),
            (":one".to_owned(), stored(&|out| out.number(Number::from(1)))),
            (":max".to_owned(), stored(&|out| out.number(Number::from(100)))),
        ],
    )
}
