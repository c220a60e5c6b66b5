//! Statements, by what they become and by how they are refused.

use tradewind_model::{Item, Number, Type, ValueRef, Writer};

use super::{Returning, Select, Statement, UpdateItem, parse};
use crate::condition::Condition;
use crate::update::Action;

fn stored(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::default();
    write(&mut out);
    out.finish()
}

fn number(text: &str) -> Vec<u8> {
    stored(|out| out.number(Number::parse(text).unwrap()))
}

fn select(text: &str) -> Select {
    match parse(text, Vec::new()) {
        Ok(Statement::Select(select)) => select,
        other => panic!("{text}: {other:?}"),
    }
}

fn update(text: &str) -> UpdateItem {
    match parse(text, Vec::new()) {
        Ok(Statement::Update(update)) => update,
        other => panic!("{text}: {other:?}"),
    }
}

fn inserted(literal: &str) -> Vec<u8> {
    match parse(&format!("INSERT INTO t VALUE {{'v': {literal}}}"), Vec::new()) {
        Ok(Statement::Insert(insert)) => insert.item.get("v").unwrap().as_bytes().to_vec(),
        other => panic!("{literal}: {other:?}"),
    }
}

fn refusal(text: &str) -> String {
    match parse(text, Vec::new()) {
        Err(error) => error.to_string(),
        Ok(statement) => panic!("{text}: {statement:?}"),
    }
}

/// `{n: 10, s: "abc", m: {a: 1}, l: [5, {k: "in"}], z: null}`
fn sample() -> Item {
    let text = "INSERT INTO t VALUE {'n': 10, 's': 'abc', 'm': {'a': 1}, 'l': [5, {'k': 'in'}], 'z': null}";
    match parse(text, Vec::new()) {
        Ok(Statement::Insert(insert)) => insert.item,
        other => panic!("{other:?}"),
    }
}

fn holds(condition: &str) -> bool {
    let item = sample();
    let select = select(&format!("SELECT * FROM t WHERE {condition}"));
    select.condition.unwrap().holds(Some(item.as_ref()))
}

#[test]
fn tables_and_indexes_are_bare_or_quoted() {
    for text in ["SELECT * FROM t.i", "select * from \"t\".\"i\"", "SELECT * FROM t . \"i\" ;"] {
        let select = select(text);
        assert_eq!((select.table.as_str(), select.index.as_deref()), ("t", Some("i")), "{text}");
        assert!(select.columns.is_none() && select.condition.is_none());
    }
    assert_eq!(select("SELECT * FROM \"a \"\"b\"\"\"").table, "a \"b\"");
}

#[test]
fn conditions_hold_as_they_say() {
    for condition in [
        "n = 10",
        "n <> 11 AND n != 11",
        "10 = n",
        "9 < n AND n <= 10",
        "n = -(-10)",
        "n BETWEEN 5 AND 15",
        "n NOT BETWEEN 11 AND 15",
        "n IN [1, 10]",
        "n IN (1, 10) AND n IN <<10>>",
        "n NOT IN [1, 2]",
        "NOT n = 11",
        "NOT NOT (n = 10)",
        "n = 1 OR n = 2 OR n = 10",
        "n = 1 AND n = 2 OR n = 10",
        "(n) = (10)",
        "begins_with(s, 'ab') AND BEGINS_WITH(\"s\", 'a')",
        "contains(s, 'b')",
        "attribute_type(n, 'N')",
        "size(s) = 3",
        "m.a = 1 AND m['a'] = 1 AND m.\"a\" = 1",
        "l[0] = 5 AND l[1].k = 'in'",
        "l = [5, {'k': 'in'}]",
        "m = {'a': 1.0}",
        "z IS NULL AND z = NULL",
        "n IS NOT NULL",
        "zz IS MISSING AND zz IS NOT NULL",
        "n IS NOT MISSING",
        "1 = 1",
    ] {
        assert!(holds(condition), "{condition}");
        assert!(!holds(&format!("NOT ({condition})")), "{condition}");
    }
}

#[test]
fn literals_have_the_stored_form() {
    assert_eq!(inserted("'it''s'"), stored(|out| out.string("it's")));
    assert_eq!(inserted("-1.50e2"), number("-150"));
    assert_eq!(inserted("+.5"), number("0.5"));
    assert_eq!(inserted("TRUE"), stored(|out| out.bool(true)));
    assert_eq!(inserted("false"), stored(|out| out.bool(false)));
    assert_eq!(inserted("Null"), stored(Writer::null));
    assert_eq!(inserted("(1)"), number("1"));
    let kind = |literal| ValueRef::new(&inserted(literal)).kind();
    assert_eq!(kind("<<'a', 'b'>>"), Type::Ss);
    assert_eq!(kind("<<1, -2>>"), Type::Ns);
    assert_eq!(kind("[]"), Type::L);
    assert_eq!(kind("{'a': [{'b': <<1>>}]}"), Type::M);
}

#[test]
fn parameters_are_taken_in_their_order() {
    let text = "UPDATE t SET a = ?, b = [?] WHERE p = ? AND n IN [?]";
    let parameters: Vec<_> = ["1", "2", "3", "4"].map(number).into();
    let Ok(Statement::Update(update)) = parse(text, parameters.clone()) else { panic!("no update") };
    let item = update.update.apply(Item::empty().as_ref(), Some(sample().as_ref())).unwrap().unwrap();
    assert_eq!(item.get("a").unwrap().as_bytes(), number("1"));
    assert_eq!(item.get("b").unwrap().as_bytes(), inserted("[2]"));
    let Some(Condition::All(parts)) = update.condition else { panic!("no condition") };
    assert_eq!(parts.len(), 2);
    for given in [&parameters[..3], &[&parameters[..], &[number("5")]].concat()] {
        let error = parse(text, given.to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "Number of parameters in request and statement don't match.");
    }
}

#[test]
fn question_marks_in_strings_are_no_parameters() {
    assert!(parse("SELECT * FROM t WHERE a = '?'", Vec::new()).is_ok());
}

#[test]
fn columns_are_named_by_the_end_of_their_path() {
    let columns = select("SELECT n, m.a, l[0], l[1].k, zz FROM t").columns.unwrap();
    let flat = columns.flat(sample().as_ref());
    assert_eq!(
        flat.as_ref().attributes().iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["a", "k", "l[0]", "n"]
    );
    assert_eq!(flat.get("l[0]").unwrap().as_bytes(), number("5"));
    let nested = columns.nested(sample().as_ref());
    assert_eq!(
        nested.as_ref().attributes().iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["l", "m", "n"]
    );
    assert_eq!(columns.attribute_names().collect::<Vec<_>>(), ["n", "m", "l", "l", "zz"]);
}

#[test]
fn updates_set_and_remove() {
    let update = update(
        "UPDATE t SET n = n + 1, s = if_not_exists(s, 'x') REMOVE z SET l = list_append(l, [1]) WHERE p = 1 \
         RETURNING MODIFIED NEW *",
    );
    assert_eq!(update.returning, Some(Returning::ModifiedNew));
    assert_eq!(update.update.actions.len(), 4);
    let item = update.update.apply(Item::empty().as_ref(), Some(sample().as_ref())).unwrap().unwrap();
    assert_eq!(item.get("n").unwrap().as_bytes(), number("11"));
    assert!(item.get("z").is_none());
}

#[test]
fn set_functions_add_to_their_target_and_take_from_it() {
    let update = update("UPDATE t SET a = set_add(a, <<1>>) SET b.c = SET_DELETE(b.c, <<'x'>>)");
    assert!(matches!(&update.update.actions[..], [Action::Add(..), Action::Delete(..)]));
    let other = refusal("UPDATE t SET a = set_add(b, <<1>>)");
    assert_eq!(other, "The first argument to SET_ADD must equal the assignment value");
    let scalar = refusal("UPDATE t SET a = set_delete(a, 1)");
    assert_eq!(scalar, "The second argument to SET_DELETE must be a value with type SET");
}

#[test]
fn order_has_names_and_directions() {
    let order = select("SELECT * FROM t WHERE p = 1 ORDER BY p DESC, \"c\" ASC, d").order;
    let found: Vec<_> = order.iter().map(|order| (order.name.as_str(), order.descending)).collect();
    assert_eq!(found, [("p", true), ("c", false), ("d", false)]);
}

#[test]
fn exists_holds_a_select() {
    assert!(matches!(parse("EXISTS(SELECT * FROM t WHERE p = 1)", Vec::new()), Ok(Statement::Exists(_))));
    assert!(parse("EXISTS(DELETE FROM t)", Vec::new()).is_err());
}

#[test]
fn only_old_items_are_returned_of_deletes() {
    let delete = parse("DELETE FROM t WHERE p = 1 RETURNING ALL OLD *", Vec::new());
    assert!(matches!(delete, Ok(Statement::Delete(delete)) if delete.returning == Some(Returning::AllOld)));
    assert_eq!(
        refusal("DELETE FROM t RETURNING MODIFIED OLD *"),
        "Invalid returning clause: RETURNING MODIFIED OLD *. Only RETURNING ALL OLD * is allowed in DELETE statements."
    );
}

#[test]
fn texts_that_are_no_statements_are_not_well_formed() {
    for text in [
        "",
        ";",
        "nonsense",
        "SELECT",
        "SELECT *, n FROM t",
        "SELECT * FROM",
        "SELECT * FROM t WHERE",
        "SELECT * FROM t WHERE p =",
        "SELECT * FROM t WHERE p = 'x",
        "SELECT * FROM t WHERE p == 1",
        "SELECT * FROM t WHERE user = 1",
        "SELECT * FROM t WHERE p = 1 = 1",
        "SELECT * FROM t WHERE p = 1 p",
        "SELECT * FROM t WHERE p BETWEEN 1",
        "SELECT * FROM t WHERE p IN [1,",
        "SELECT * FROM t WHERE p IS STRING",
        "SELECT * FROM t)",
        "SELECT * FROM t; SELECT * FROM t",
        "INSERT INTO t VALUE",
        "INSERT INTO t VALUE {'a': [1,]}",
        "INSERT INTO t VALUE {'a' 1}",
        "UPDATE t WHERE p = 1",
        "UPDATE t SET SET a = 1",
        "UPDATE t REMOVE a, b WHERE p = 1",
        "UPDATE t SET a = 1 RETURNING ALL *",
        "DELETE t WHERE p = 1",
        "EXISTS SELECT",
    ] {
        let message = refusal(text);
        assert!(
            message.starts_with("Statement wasn't well formed, can't be processed: "),
            "{text}: {message}"
        );
    }
    let place = refusal("SELECT *\nFROM é, 't");
    assert_eq!(place, "Statement wasn't well formed, can't be processed: Unexpected token at 2:6:1");
}

#[test]
fn what_dynamodb_lacks_of_partiql_is_named() {
    for (text, message) in [
        ("DROP TABLE t", "Unsupported operation: DropTable"),
        ("INSERT INTO t VALUES (1)", "Unsupported operation: InsertOp"),
        ("SELECT COUNT(*) FROM t", "Unexpected path component at 1:8:5"),
        ("SELECT 'a' FROM t", "Unexpected path component at 1:8:3"),
        ("SELECT n + 1 FROM t", "Unexpected path component at 1:10:1"),
        ("SELECT m.* FROM t", "Changing item's hierarchy while reading isn't supported"),
        ("SELECT DISTINCT n FROM t", "Unsupported token in expression: DISTINCT"),
        ("SELECT VALUE n FROM t", "Select projection doesn't support value or pivot keywords"),
        ("SELECT n AS m FROM t", "Aliasing is not supported"),
        ("SELECT * FROM t u", "Aliasing is not supported"),
        ("SELECT m.n, k.n FROM t", "Duplicate identifiers in select clause: n"),
        ("SELECT * FROM t, u", "Only select from a single table or index is supported."),
        ("SELECT * FROM t JOIN u", "Only select from a single table or index is supported."),
        ("SELECT * FROM 't'", "Unexpected from source"),
        ("SELECT * FROM \"\"", "Path component cannot be an empty string"),
        ("SELECT * FROM a.b.c", "A path may contain at most 2 components in the FROM clause"),
        ("SELECT * FROM t WHERE n = 1 LIMIT 10", "Unsupported clause: LIMIT at 1:35:2"),
        ("SELECT * FROM t GROUP BY n", "Unsupported clause: GROUP BY"),
        ("SELECT * FROM t ORDER BY n", "Must have WHERE clause in the statement when using ORDER BY clause."),
        ("SELECT * FROM t WHERE n", "The arguments to AND/OR must be Expressions"),
        ("SELECT * FROM t WHERE n = 1 AND true", "The arguments to AND/OR must be Expressions"),
        ("SELECT * FROM t WHERE n + 1 = 2", "Unsupported operator in Condition Expression. Operator: +"),
        ("SELECT * FROM t WHERE n LIKE 'a'", "Unsupported operator in Condition Expression. Operator: like"),
        ("SELECT * FROM t WHERE n = MISSING", "MISSING must be compared using IS operator"),
        ("SELECT * FROM t WHERE foo(n)", "Unrecognized function: foo"),
        (
            "UPDATE t.i SET a = 1",
            "FROM clause may only contain a single table name in data manipulation statements",
        ),
        ("UPDATE t SET a = b * 2", "Unsupported operator in Update Expression. Operator: *"),
        (
            "UPDATE t SET a = 1 RETURNING ALL NEW a",
            "Expected '*' after ( MODIFIED | ALL ) ( NEW | OLD ) in RETURNING clause",
        ),
        ("INSERT INTO t VALUE {'a': 1} RETURNING ALL OLD *", "RETURNING is not supported in INSERT"),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn operands_are_refused_as_in_other_expressions() {
    for (text, start) in [
        ("SELECT * FROM t WHERE n = n", "The first operand must be distinct"),
        ("SELECT * FROM t WHERE n BETWEEN 2 AND 1", "The BETWEEN operator requires upper bound"),
        (
            "SELECT * FROM t WHERE n > true",
            "Incorrect operand type for operator or function; operator or function: >",
        ),
        ("SELECT * FROM t WHERE begins_with(n)", "Incorrect number of operands"),
        ("SELECT * FROM t WHERE size() = 1", "Incorrect number of operands"),
        ("SELECT * FROM t WHERE attribute_type(n, 'X')", "Invalid attribute type name found; type: X"),
        ("UPDATE t SET a = list_append(a, 5)", "Incorrect operand type for operator or function"),
        ("UPDATE t SET a = 1 SET a.b = 2", "Two document paths overlap with each other"),
        ("SELECT m.a, m[0] FROM t", "Two document paths conflict with each other"),
        ("SELECT l[-1] FROM t", "List index is not within the allowable range; index: [-1]"),
        (
            "UPDATE t SET a = -b",
            "Incorrect number of operands for operator or function; operator or function: -",
        ),
    ] {
        let message = refusal(text);
        assert!(message.starts_with(start), "{text}: {message}");
    }
}

#[test]
fn items_that_cannot_be_are_refused() {
    for (literal, message) in [
        ("<<>>", "Empty bags are not supported at 1:29:2"),
        ("<<1, 1.0>>", "Input collection contains duplicates"),
        (
            "<<[1]>>",
            "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags at 1:31:1",
        ),
        ("{'a': 1, 'a': 2}", "Duplicate keys in tuple. Key: a under root at 1:38:3"),
        ("{'': 1}", "Path component cannot be an empty string"),
        ("{a: 1}", "Tuple keys must be of type String. Actual type: VariableReference under root at 1:30:1"),
        ("MISSING", "Unsupported data type: MISSING under key root at 1:29:7"),
        ("1e126", "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ("123456789012345678901234567890123456789", "DynamoDB only supports precision up to 38 digits"),
    ] {
        assert_eq!(refusal(&format!("INSERT INTO tab VALUE {{'v': {literal}}}")), message, "{literal}");
    }
    let lists =
        |levels| format!("INSERT INTO t VALUE {{'v': {}1{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(&lists(31), Vec::new()).is_ok());
    assert_eq!(refusal(&lists(32)), "Nesting Levels have exceeded supported limits");
}

/// Each has once ended a server of this kind by its stack or its time.
#[test]
fn hostile_texts_are_refused() {
    for text in [
        "(".repeat(8192),
        format!("SELECT * FROM t WHERE {}", "(".repeat(8000)),
        format!("SELECT * FROM t WHERE {}a = 1{}", "(".repeat(4000), ")".repeat(4000)),
        format!("SELECT * FROM t WHERE {}a = 1", "NOT ".repeat(2000)),
        format!("SELECT * FROM t WHERE a = {}1", "- ".repeat(4000)) + "x",
        format!("SELECT * FROM t WHERE {}", "size(".repeat(1600)),
        format!("SELECT * FROM t WHERE p IN [{}1]", "1,".repeat(4000)),
        format!("SELECT * FROM t WHERE a = 1{}", " OR a = 1".repeat(900)),
        format!("INSERT INTO t VALUE {}", "{'a':".repeat(1600)),
        format!("INSERT INTO t VALUE {{'p': {}", "[".repeat(8000)),
        format!("INSERT INTO t VALUE {{'p': {}", "<<".repeat(4000)),
        format!("UPDATE t SET a = {}", "list_append(".repeat(600)),
        format!("UPDATE t {}", "SET a = 1 ".repeat(800)),
        format!("SELECT {} FROM t", "a.".repeat(4000) + "a"),
        "'".repeat(8191),
        "\"".repeat(8191),
        "/*".repeat(4096),
        "-".repeat(8192),
        "é".repeat(4096),
    ] {
        refusal(&text);
    }
}

proptest::proptest! {
    /// Whatever the text, it is a statement or it is refused.
    #[test]
    fn no_text_is_too_odd(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "SELECT", "FROM", "WHERE", "t", "\"n\"", "'s'", "1", "-", "(", ")", "[", "]", "{", "}", "<<", ">>", ",",
                ":", ".", "*", "?", "=", "AND", "NOT", "IN", "IS", "MISSING", "BETWEEN", "size", "set_add", "UPDATE",
                "SET", "INSERT INTO t VALUE", "DELETE", "RETURNING ALL OLD *", "ORDER BY", "EXISTS", ";", "é", "'",
            ]),
            0..30,
        ),
        glue in proptest::sample::select(vec![" ", ""]),
    ) {
        let _ = parse(&words.join(glue), vec![number("1")]);
    }
}
