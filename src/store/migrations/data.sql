-- data.db: the tables that PocketBase v0.39 itself needs, and ours. Those of the collections are
-- made from system_collections.json and coredns_records.json.

CREATE TABLE IF NOT EXISTS `_migrations` (
  file VARCHAR(255) PRIMARY KEY NOT NULL,
  applied INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS `_params` (
  `id` TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL,
  `value` JSON DEFAULT NULL,
  `created` TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL,
  `updated` TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL
);

CREATE TABLE IF NOT EXISTS `_collections` (
  `id` TEXT PRIMARY KEY DEFAULT ('r'||lower(hex(randomblob(7)))) NOT NULL,
  `system` BOOLEAN DEFAULT FALSE NOT NULL,
  `type` TEXT DEFAULT "base" NOT NULL,
  `name` TEXT UNIQUE NOT NULL,
  `fields` JSON DEFAULT "[]" NOT NULL,
  `indexes` JSON DEFAULT "[]" NOT NULL,
  `listRule` TEXT DEFAULT NULL,
  `viewRule` TEXT DEFAULT NULL,
  `createRule` TEXT DEFAULT NULL,
  `updateRule` TEXT DEFAULT NULL,
  `deleteRule` TEXT DEFAULT NULL,
  `options` JSON DEFAULT "{}" NOT NULL,
  `created` TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL,
  `updated` TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%fZ')) NOT NULL
);
CREATE INDEX IF NOT EXISTS idx__collections_type ON `_collections` (`type`);

-- Ours. The serial of each zone, by its name in lower case with the final dot; a row stays when
-- its zone goes, so that a zone made anew does not step back.
CREATE TABLE IF NOT EXISTS `_pocketdns_serials` (
  `zone` TEXT PRIMARY KEY NOT NULL,
  `serial` INTEGER NOT NULL CHECK (`serial` BETWEEN 0 AND 4294967295)
) WITHOUT ROWID;
