-- What one database of a region holds. Keys are bytes in key order; what they and the values mean is drawn in libs/model.

-- One table per space. A row without value is no row of the engine: it marks that longer keys begin with this one, whose rows
-- are in long_rows (a B-tree entry has at most 2,704 bytes, a key up to 32 KiB).
CREATE TABLE items      (key bytea PRIMARY KEY, value bytea) WITH (fillfactor = 90);
CREATE TABLE index_rows (key bytea PRIMARY KEY, value bytea) WITH (fillfactor = 90);
CREATE TABLE conflicts  (key bytea PRIMARY KEY, value bytea);
CREATE TABLE cursors    (key bytea PRIMARY KEY, value bytea) WITH (fillfactor = 50);
CREATE TABLE tokens     (key bytea PRIMARY KEY, value bytea);
CREATE TABLE expiry     (key bytea PRIMARY KEY, value bytea);
CREATE TABLE tombstones (key bytea PRIMARY KEY, value bytea);

-- head is the SHA-256 of the key's bytes before rest.
CREATE TABLE long_rows (
    space smallint,
    head  bytea,
    rest  bytea,
    value bytea,
    PRIMARY KEY (space, head, rest)
);

-- The fence. partition is incarnation (16 bytes) and number (4). Every commit updates a row: with room in its page the update
-- touches no index, and pages are cleaned before they grow.
CREATE TABLE partitions (
    partition bytea PRIMARY KEY,
    epoch     bigint NOT NULL,
    next      bigint NOT NULL,
    max_hlc   bigint NOT NULL, -- moved by 2^63, so that it sorts as the unsigned number does
    owner     text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Moves every named partition on, or raises TW001 and names those that have another epoch or next sequence.
CREATE FUNCTION fence(ids bytea[], epochs bigint[], firsts bigint[], nexts bigint[], clocks bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    part  record;
    stale text[] := '{}';
BEGIN
    FOR part IN SELECT * FROM unnest(ids, epochs, firsts, nexts, clocks) AS t(id, epoch, first, next, clock) LOOP
        UPDATE partitions
           SET next = part.next, max_hlc = greatest(partitions.max_hlc, part.clock)
         WHERE partition = part.id AND partitions.epoch = part.epoch AND partitions.next = part.first;
        IF NOT FOUND THEN
            stale := stale || encode(part.id, 'hex');
        END IF;
    END LOOP;
    IF cardinality(stale) > 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'TW001', MESSAGE = 'stale epoch or sequence', DETAIL = array_to_string(stale, ',');
    END IF;
END $$;

-- The change log in pieces of an hour, so that trimming is dropping tables. Sequences of a partition never go back from a later
-- piece to an earlier one.
CREATE TABLE log (
    hour      integer NOT NULL, -- since 1970
    partition bytea   NOT NULL,
    sequence  bigint  NOT NULL,
    change    bytea   NOT NULL
) PARTITION BY RANGE (hour);

CREATE TABLE log_pieces (hour integer PRIMARY KEY);
-- No change is filed under an earlier hour any more.
CREATE TABLE log_sealed (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), before_hour integer NOT NULL);
INSERT INTO log_sealed (before_hour) VALUES (0);
-- The first sequence that was surely not trimmed; 1 where there is no row.
CREATE TABLE log_kept (partition bytea PRIMARY KEY, kept_from bigint NOT NULL);

-- The catalogue.
CREATE TABLE documents (
    collection text COLLATE "C",
    name       text COLLATE "C",
    revision   bigint NOT NULL,
    body       jsonb  NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, name)
);
CREATE SEQUENCE document_revisions;
-- Changes of a collection, counted in several rows so that writers of different documents seldom wait for each other.
CREATE TABLE document_generations (
    collection text COLLATE "C",
    shard      smallint,
    changes    bigint NOT NULL,
    PRIMARY KEY (collection, shard)
) WITH (fillfactor = 20);

CREATE TABLE members (
    member_group text COLLATE "C",
    name         text COLLATE "C",
    id           uuid NOT NULL,
    address      text NOT NULL,
    alive_until  timestamptz NOT NULL,
    PRIMARY KEY (member_group, name)
) WITH (fillfactor = 20);

-- Which database of a region this is, where it has several. Only number 0 has a catalogue, members and decisions.
CREATE TABLE identity (singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton), region uuid NOT NULL, number integer NOT NULL);

-- Whether a transaction over several databases is committed: whoever inserts first decides.
CREATE TABLE decisions (
    name       text PRIMARY KEY,
    is_commit  boolean NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now()
);

-- Branches of such transactions that are committed here, for a few minutes: a reader of several databases that finds one in
-- one of them and not in another one that took part has come in between, and reads again.
CREATE TABLE branches (
    transaction  text PRIMARY KEY,
    databases    integer[] NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- For people: who owns what.
CREATE VIEW partition_owners AS
SELECT encode(substring(partition FROM 1 FOR 16), 'hex')::uuid AS incarnation,
       get_byte(partition, 16) * 16777216::bigint + get_byte(partition, 17) * 65536 + get_byte(partition, 18) * 256
           + get_byte(partition, 19) AS number,
       epoch, next, owner, opened_at
  FROM partitions;
