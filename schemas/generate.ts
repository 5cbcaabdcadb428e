/** Writes the JSON Schemas and the OpenAPI document; with --check it only says whether the committed ones are the present ones. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { configFile } from "./config.js";
import {
  auditDocument,
  bindingDocument,
  bindingsDocument,
  commandDocument,
  commandRequest,
  correspondentsDocument,
  errorDocument,
  eventDocument,
  multicastDocument,
  planDocument,
  securityDocument,
  statusDocument,
  visitorsDocument,
} from "./control.js";
import { credentialFile } from "./credentials.js";
import { journalHeader, journalLine } from "./journal.js";
import { keyFile } from "./keys.js";

const schema = (type: z.ZodType): Record<string, unknown> =>
  z.toJSONSchema(type, { io: "input" }) as Record<string, unknown>;

const answer = (description: string, name: string, contentType = "application/json"): unknown => ({
  responses: {
    "200": { description, content: { [contentType]: { schema: { $ref: `#/components/schemas/${name}` } } } },
    default: {
      description: "What is wrong",
      content: { "application/json": { schema: { $ref: "#/components/schemas/Error" } } },
    },
  },
});

/** A command of its own path each; its fields are parameters of the query. */
function commands(): Record<string, unknown> {
  return Object.fromEntries(
    commandRequest.options.map(({ shape: { command, ...fields } }) => {
      const parameters = Object.entries(fields).map(([name, type]) => {
        const { $schema: _, description, ...rest } = schema(type as z.ZodType);
        return {
          name,
          in: "query",
          required: !(type as z.ZodType).safeParse(undefined).success,
          description,
          schema: rest,
        };
      });
      const [name] = command.values;
      return [`/commands/${name}`, { post: { parameters, ...(answer("What became of it", "Command") as object) } }];
    }),
  );
}

const homeAddress = { name: "homeAddress", in: "path", required: true, schema: { type: "string" } };

function openApi(): unknown {
  const bare = (type: z.ZodType): unknown => {
    const { $schema: _, ...rest } = schema(type);
    return rest;
  };
  return {
    openapi: "3.1.0",
    info: { title: "dsmipd control interface", version: "1" },
    servers: [{ url: "http://localhost/v1", description: "over the unix socket of controlSocket" }],
    paths: {
      "/status": { get: answer("The daemon at a glance", "Status") },
      "/bindings": { get: answer("All bindings", "Bindings") },
      "/bindings/{homeAddress}": { parameters: [homeAddress], get: answer("One binding", "Binding") },
      "/plan/{homeAddress}": {
        parameters: [homeAddress],
        get: answer("The kernel objects of a binding as commands", "Plan"),
      },
      "/audit": { get: answer("Differences between plan and kernel", "Audit") },
      "/security": { get: answer("Security associations of all nodes", "Security") },
      "/security/{homeAddress}": {
        parameters: [homeAddress],
        get: answer("Security associations of one node", "Security"),
      },
      "/visitors": { get: answer("Mobile nodes that are registered through a foreign agent", "Visitors") },
      "/correspondents": { get: answer("Pairs of addresses with route optimisation", "Correspondents") },
      "/multicast": { get: answer("Multicast groups of nodes that are away", "Multicast") },
      ...commands(),
      "/events/recent": { get: answer("The last events, one document a line", "Event", "application/x-ndjson") },
      "/events": { get: answer("Events as they happen, one document a line", "Event", "application/x-ndjson") },
    },
    components: {
      schemas: {
        Status: bare(statusDocument),
        Bindings: bare(bindingsDocument),
        Binding: bare(bindingDocument),
        Plan: bare(planDocument),
        Audit: bare(auditDocument),
        Security: bare(securityDocument),
        Visitors: bare(visitorsDocument),
        Correspondents: bare(correspondentsDocument),
        Multicast: bare(multicastDocument),
        Command: bare(commandDocument),
        Event: bare(eventDocument),
        Error: bare(errorDocument),
      },
    },
  };
}

export function documents(): ReadonlyMap<string, string> {
  const text = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  return new Map([
    ["config.schema.json", text(schema(configFile))],
    ["keys.schema.json", text(schema(keyFile))],
    ["credentials.schema.json", text(schema(credentialFile))],
    ["journal.schema.json", text({ header: schema(journalHeader), line: schema(journalLine) })],
    ["control.openapi.json", text(openApi())],
  ]);
}

function main(directory: string, check: boolean): number {
  let stale = 0;
  for (const [name, text] of documents()) {
    const path = join(directory, name);
    if (!check) writeFileSync(path, text);
    else if (readFileSync(path, "utf8") !== text) {
      stale++;
      process.stderr.write(`${path}: not what schemas/*.ts say; run: make schemas\n`);
    }
  }
  return stale === 0 ? 0 : 1;
}

const [, script, directory, flag] = process.argv;
if (script?.endsWith("schemas/generate.js") && directory !== undefined)
  process.exitCode = main(directory, flag === "--check");
