// Runs a Node.js handler against the Lambda Runtime API, as the managed Node.js runtimes do: CommonJS and ES modules,
// async handlers and callbacks, the same context and error objects. Nothing but Node's own modules.

import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";
import util from "node:util";

const PREFIX = "/2018-06-01/runtime";
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

let current = null; // the request id of the invocation under way
let newest; // and of the last one that began, for the log

function call(method, suffix, body, headers = {}) {
  return new Promise((resolve, reject) => {
    if (body !== undefined) headers["Content-Length"] = Buffer.byteLength(body);
    const options = { agent, host, port, method, path: PREFIX + suffix, headers };
    const request = http.request(options, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

class Fault extends Error {
  constructor(type, message, trace) {
    super(message);
    this.name = type;
    if (trace) this.stack = trace;
  }
}

function errorObject(error) {
  if (error instanceof Error) {
    const trace = String(error.stack ?? "").split("\n");
    return { errorType: error.name, errorMessage: error.message, trace };
  }
  if (typeof error === "string") return { errorType: "string", errorMessage: error, trace: [] };
  return { errorType: typeof error, errorMessage: JSON.stringify(error) ?? String(error), trace: [] };
}

function headerSafe(text) {
  return String(text).replace(/[^\x20-\x7e]/g, "?");
}

async function report(suffix, error, label = "Invoke Error") {
  const described = errorObject(error);
  logError(label, error, described);
  await call("POST", suffix, JSON.stringify(described), {
    "Content-Type": "application/json",
    "Lambda-Runtime-Function-Error-Type": headerSafe(described.errorType),
  });
}

// --- The log: what a handler says comes with the time, the request's id and a level, as text or as JSON -------------

const inJson = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === "JSON";

function say(level, ...said) {
  const timestamp = new Date().toISOString();
  process.stdout.write((inJson ? object(timestamp, level, said) : `${timestamp}\t${newest}\t${level}\t${util.format(...said)}`) + "\n");
}

function object(timestamp, level, said) {
  const line = { timestamp, level, requestId: newest, message: said.length === 1 ? said[0] : util.format(...said) };
  const error = said.length > 1 && said.find((each) => each instanceof Error);
  if (error) Object.assign(line, plainError(error));
  try {
    return JSON.stringify(line, (_, value) => (value instanceof Error ? plainError(value) : value));
  } catch {
    return JSON.stringify({ ...line, message: util.format(...said) });
  }
}

function plainError(error) {
  const { errorType, errorMessage, trace } = errorObject(error);
  return { errorType: error.constructor?.name ?? errorType, errorMessage, stackTrace: trace };
}

function logError(label, error, { errorType, errorMessage, trace }) {
  if (inJson) return console.error(error instanceof Error ? error : { errorType, errorMessage, stackTrace: trace });
  console.error(label, "\t" + JSON.stringify({ errorType, errorMessage, ...(error instanceof Error ? { ...error } : {}), stack: trace }));
}

for (const level of ["trace", "debug", "info", "warn", "error", "fatal"]) {
  console[level] = (...said) => say(level.toUpperCase(), ...said);
}
console.log = console.info;

// --- Loading ---------------------------------------------------------------------------------------------------

function locate(folder, moduleName) {
  const base = path.resolve(folder, moduleName);
  const names = ["", ".js", ".mjs", ".cjs"].map((extension) => base + extension);
  const found = names.find((name) => fs.statSync(name, { throwIfNoEntry: false })?.isFile());
  if (!found) throw new Fault("Runtime.ImportModuleError", `Error: Cannot find module '${moduleName}'`);
  return found;
}

async function load(handlerName) {
  if (handlerName.includes("..")) {
    throw new Fault("Runtime.MalformedHandlerName", `'${handlerName}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(handlerName);
  const dot = base.indexOf(".");
  if (dot < 0) throw new Fault("Runtime.MalformedHandlerName", `Bad handler '${handlerName}'`);
  const moduleName = path.join(path.dirname(handlerName), base.slice(0, dot));
  const file = locate(process.env.LAMBDA_TASK_ROOT, moduleName);
  let loaded;
  try {
    loaded = await import(pathToFileURL(file).href);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Fault("Runtime.UserCodeSyntaxError", `SyntaxError: ${error.message}`, error.stack);
    if (error?.code === "ERR_MODULE_NOT_FOUND" || error?.code === "MODULE_NOT_FOUND") {
      throw new Fault("Runtime.ImportModuleError", `Error: ${error.message}`, error.stack);
    }
    throw error;
  }
  const names = base.slice(dot + 1).split(".");
  const pick = (from) => names.reduce((value, name) => value?.[name], from);
  const handler = pick(loaded) ?? pick(loaded.default);
  if (handler === undefined) throw new Fault("Runtime.HandlerNotFound", `${handlerName} is undefined or not exported`);
  if (typeof handler !== "function") throw new Fault("Runtime.HandlerNotFound", `${handlerName} is not a function`);
  return handler;
}

// --- Invoking --------------------------------------------------------------------------------------------------

function makeContext(headers) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const given = headers["lambda-runtime-client-context"];
  return {
    callbackWaitsForEmptyEventLoop: true,
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: given ? JSON.parse(given) : undefined,
    identity: undefined,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

// A handler is done when its promise settles; or when it has called back and (unless it asked otherwise) nothing is
// left to wait for; or, having done neither, when nothing is left to wait for.
function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    let outcome = null;
    const settle = () => (outcome?.error != null ? reject(outcome.error) : resolve(outcome?.value));
    const onEmpty = () => settle();
    const finish = (error, value) => {
      outcome ??= { error, value };
      if (error != null || !context.callbackWaitsForEmptyEventLoop) {
        process.removeListener("beforeExit", onEmpty);
        settle();
      }
    };
    context.done = finish;
    context.succeed = (value) => finish(null, value);
    context.fail = (error) => finish(error ?? "handled");
    process.once("beforeExit", onEmpty);
    try {
      const returned = handler(event, context, finish);
      if (typeof returned?.then === "function") {
        process.removeListener("beforeExit", onEmpty);
        returned.then(resolve, reject);
      }
    } catch (error) {
      process.removeListener("beforeExit", onEmpty);
      reject(error);
    }
  });
}

function serialized(value) {
  try {
    return JSON.stringify(value === undefined ? null : value) ?? "null";
  } catch {
    throw new Error("Unable to stringify response body");
  }
}

async function invoke(handler, headers, body) {
  current = newest = headers["lambda-runtime-aws-request-id"];
  const traceId = headers["lambda-runtime-trace-id"];
  if (traceId) process.env._X_AMZN_TRACE_ID = traceId;
  let answer;
  try {
    const value = await run(handler, JSON.parse(body.toString("utf8")), makeContext(headers));
    answer = serialized(value);
  } catch (error) {
    await report(`/invocation/${current}/error`, error);
    current = null;
    return;
  }
  await call("POST", `/invocation/${current}/response`, answer, { "Content-Type": "application/json" });
  current = null;
}

// An error that nobody caught ends the environment, as on Lambda.
async function dieOf(error, type) {
  const fault = new Fault(type ?? error?.name ?? "Error", error?.message ?? String(error), error?.stack);
  if (current) await report(`/invocation/${current}/error`, fault, type ? "Unhandled Promise Rejection" : "Uncaught Exception");
  process.exit(type ? 128 : 129);
}

process.on("uncaughtException", (error) => dieOf(error));
process.on("unhandledRejection", (reason) => dieOf({ message: String(reason), stack: reason?.stack }, "Runtime.UnhandledPromiseRejection"));

// Not awaited at the top level: Node ends a module that waits there while its event loop is empty, which is just when
// `run` waits for that.
async function main() {
  let handler;
  try {
    handler = await load(process.argv[2]);
  } catch (error) {
    await report("/init/error", error, "Uncaught Exception");
    process.exit(1);
  }
  for (;;) {
    const { status, headers, body } = await call("GET", "/invocation/next");
    if (status !== 200) process.exit(1);
    await invoke(handler, headers, body);
  }
}

main();
