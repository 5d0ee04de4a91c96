// What apps import as `dayfly`.
export { DayflyError as Error } from "./bridge.js";
export * as blobs from "./blobs.js";
export * as http from "./outgoing.js";
export * as keyValue from "./key_value.js";
export * as llm from "./llm.js";
export * as messaging from "./messaging.js";
export * as mqtt from "./mqtt.js";
export * as mysql from "./mysql.js";
export * as postgres from "./postgres.js";
export * as redis from "./redis.js";
export * as sqlite from "./sqlite.js";
export * as variables from "./variables.js";
export * as websocket from "./websocket.js";
