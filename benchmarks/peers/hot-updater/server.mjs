// The peer's update check over SQLite in memory, with three releases of one app: node server.mjs [--keep-statements]
// Prints its port when it listens. Routes are those that the package mounts itself.
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";

import { createHotUpdater } from "@hot-updater/server";
import { kyselyAdapter } from "@hot-updater/server/adapters/kysely";
import { createMigrator } from "@hot-updater/server/db";
import { Kysely, SqliteDialect } from "kysely";

const RELEASES = 3;
const bundleId = (number) => `019a0000-0000-7000-8000-${String(number).padStart(12, "0")}`;

// Kysely asks for the shape of better-sqlite3; Node's own SQLite needs booleans as numbers. Kysely has each statement prepared
// anew; with the option they are kept, which is a help that its users do not have.
const keeps = process.argv.includes("--keep-statements");
const sqlite = new DatabaseSync(":memory:");
const statements = new Map();
const plain = (values) => values.map((value) => (typeof value === "boolean" ? Number(value) : value));
const database = {
  close: () => sqlite.close(),
  prepare(sql) {
    let kept = statements.get(sql);
    if (kept === undefined) {
      const statement = sqlite.prepare(sql);
      kept = {
        reader: statement.columns().length > 0,
        all: (values) => statement.all(...plain(values)),
        run: (values) => statement.run(...plain(values)),
        iterate: (values) => statement.iterate(...plain(values)),
      };
      if (keeps && !/^(create|alter|drop)/iu.test(sql)) statements.set(sql, kept);
    }
    return kept;
  },
};

const updater = createHotUpdater({
  basePath: "/peer",
  database: kyselyAdapter({ db: new Kysely({ dialect: new SqliteDialect({ database }) }), provider: "sqlite" }),
  storages: [
    {
      name: "public",
      supportedProtocol: "https",
      profiles: { runtime: { readText: async () => null, getDownloadUrl: async (address) => ({ fileUrl: address }) } },
    },
  ],
});
await (await createMigrator(updater).migrateToLatest({ mode: "from-schema" })).execute();
for (let number = 1; number <= RELEASES; number += 1) {
  await updater.insertBundle({
    id: bundleId(number),
    platform: "ios",
    shouldForceUpdate: false,
    enabled: true,
    fileHash: String(number).repeat(64),
    gitCommitHash: null,
    message: null,
    channel: "production",
    storageUri: `https://cdn.example.com/bundles/${number}.zip`,
    targetAppVersion: "1.x",
    fingerprintHash: null,
    metadata: {},
    rolloutCohortCount: 1000,
    targetCohorts: null,
  });
}

const server = createServer(async (request, response) => {
  const answer = await updater.handler(
    new Request(`http://127.0.0.1${request.url}`, { method: request.method, headers: request.headers }),
  );
  const body = await answer.text();
  response.writeHead(answer.status, { ...Object.fromEntries(answer.headers), "content-length": Buffer.byteLength(body) });
  response.end(body);
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
