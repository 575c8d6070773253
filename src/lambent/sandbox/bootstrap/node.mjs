// Our runtime for nodejs*: what AWS's runtime does, over the framed channel (fd 3) instead of HTTP.
// Node.js 16 and later, no packages. Frames: see ../channel.py. Observable behaviour follows AWS's
// https://www.npmjs.com/package/aws-lambda-ric, against which tests compare this file.

import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { Writable } from "node:stream";
import { pathToFileURL } from "node:url";
import util from "node:util";

const CHANNEL_FD = 3;
const HEADER_BYTES = 12;
const INVOKE = 2;
const READY = 16, INIT_ERROR = 17, RESULT = 18, ERROR = 19, STREAM = 24, CHUNK = 25;
const CHUNK_BYTES_MAX = 65536;
const RECORD = "\x1e"; // a log record of several lines: see ../output.py
const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const STREAMING_HIGH_WATER_MARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");

const require = createRequire(import.meta.url);
const env = process.env;
const json = (env.AWS_LAMBDA_LOG_FORMAT ?? "").toUpperCase() === "JSON";

// ---- errors, under AWS's names ----

const faults = {};
for (const name of ["ImportModuleError", "HandlerNotFound", "MalformedHandlerName",
  "UserCodeSyntaxError", "MalformedStreamingHandler", "InvalidStreamingOperation",
  "UnhandledPromiseRejection"]) {
  faults[name] = { [name]: class extends Error {} }[name];
  faults[name].prototype.name = `Runtime.${name}`;
}

const isError = (value) => util.types.isNativeError(value) || value instanceof Error;
const escapeDelete = (text) => text.replace(/\x7F/g, "%7F");

function errorObject(error) {
  try {
    if (isError(error)) {
      return {
        errorType: escapeDelete(error.name),
        errorMessage: escapeDelete(error.message),
        trace: escapeDelete(error.stack).split("\n"),
      };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: "handled",
      errorMessage: "callback called with Error argument, but there was a problem while "
        + "retrieving one or more of its message, name, and stack",
    };
  }
}

const asError = (value) => (value instanceof Error ? value : new Error(value));

function withProperties(error) {
  if (!(error instanceof Error)) return error;
  const shown = { errorType: error.name, errorMessage: error.message, code: error.code, ...error };
  if (typeof error.stack === "string") shown.stack = error.stack.split("\n");
  return shown;
}

function errorLine(error) {
  try {
    return "\t" + JSON.stringify(error, (_key, value) => withProperties(value));
  } catch {
    return "\t" + JSON.stringify(errorObject(error));
  }
}

// ---- logs ----

let requestId, tenantId;

function writeAll(text) {
  let data = Buffer.from(text);
  while (data.length) {
    try {
      data = data.subarray(fs.writeSync(1, data));
    } catch (error) {
      if (error.code !== "EAGAIN") return;
    }
  }
}

const writeRecord = (text) =>
  writeAll((text.includes("\n") ? RECORD + text.replaceAll("\n", "\0") : text) + "\n");

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

function errorFields(error) {
  return {
    errorType: error?.constructor?.name ?? "UnknownError",
    errorMessage: error.message,
    stackTrace: typeof error.stack === "string" ? error.stack.split("\n") : error.stack,
  };
}

function jsonLine(level, params) {
  const line = { timestamp: new Date().toISOString(), level, requestId };
  if (tenantId != null) line.tenantId = tenantId;
  if (params.length === 1) {
    line.message = params[0];
    try {
      return JSON.stringify(line, (_key, value) =>
        (value instanceof Error ? { ...errorFields(value), ...value } : value));
    } catch {
      line.message = util.format(line.message);
      return JSON.stringify(line);
    }
  }
  line.message = util.format(...params);
  const error = params.find((param) => param instanceof Error);
  if (error !== undefined) Object.assign(line, errorFields(error));
  return JSON.stringify(line);
}

const textLine = (level, params) =>
  `${new Date().toISOString()}\t${requestId}\t${level}\t${util.format(...params)}`;

function patchConsole() {
  const lowest = Math.max(0, LEVELS.indexOf((env.AWS_LAMBDA_LOG_LEVEL ?? "").toUpperCase()));
  const line = json ? jsonLine : textLine;
  LEVELS.forEach((level, priority) => {
    const write = (message, ...params) => writeRecord(line(level, [message, ...params]));
    console[level.toLowerCase()] = priority >= lowest || level === "FATAL" ? write : () => {};
  });
  console.log = console.info;
}

function logError(title, error) {
  if (json) console.error(asError(error));
  else console.error(title, errorLine(asError(error)));
}

// ---- the channel ----

const socket = new net.Socket({ fd: CHANNEL_FD, readable: true, writable: true });
let chunks = [], held = 0, wanted = HEADER_BYTES;

function send(kind, meta, payload, sequence, sent) {
  meta.rss = process.resourceUsage().maxRSS;
  const head = Buffer.from(JSON.stringify(meta));
  const body = Buffer.isBuffer(payload) ? payload : Buffer.from(payload);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(kind, 0);
  header.writeUInt16BE(head.length, 2);
  header.writeUInt32BE(body.length, 4);
  header.writeUInt32BE(sequence, 8);
  socket.write(Buffer.concat([header, head, body]), sent);
}

function received(chunk) {
  chunks.push(chunk);
  held += chunk.length;
  while (held >= wanted) {
    const data = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    chunks = [data];
    const split = HEADER_BYTES + data.readUInt16BE(2);
    const whole = split + data.readUInt32BE(4);
    wanted = whole;
    if (held < whole) return;
    chunks = held > whole ? [data.subarray(whole)] : [];
    held -= whole;
    wanted = HEADER_BYTES;
    const kind = data.readUInt8(0);
    const meta = JSON.parse(data.toString("utf8", HEADER_BYTES, split));
    if (kind === INVOKE) invoke(meta, data.subarray(split, whole), data.readUInt32BE(8));
  }
}

// ---- finding the handler ----

function isModulePackage(folder) {
  for (; !folder.endsWith("/node_modules"); folder = path.dirname(folder)) {
    const file = path.join(folder, "package.json");
    if (fs.existsSync(file)) {
      try {
        return JSON.parse(fs.readFileSync(file, "utf8"))?.type === "module";
      } catch (error) {
        console.warn(
          `${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
        return false;
      }
    }
    if (folder === "/") return false;
  }
  return false;
}

const load = (file) => (fs.existsSync(file) ? require(file) : undefined);
const importFile = async (file) =>
  (fs.existsSync(file) ? await import(pathToFileURL(file).href) : undefined);

async function loadModule(root, folder, name) {
  const file = path.resolve(root, folder, name);
  const module = fs.existsSync(`${file}.js`) && isModulePackage(path.dirname(file));
  return load(file)
    || (module ? await importFile(`${file}.js`) : load(`${file}.js`))
    || (await importFile(`${file}.mjs`))
    || load(`${file}.cjs`)
    || require(require.resolve(name, { paths: [root, folder] }));
}

async function findHandler(root, full) {
  if (full.includes("..")) {
    throw new faults.MalformedHandlerName(`'${full}' is not a valid handler name. `
      + "Use absolute paths when specifying root directories in handler names.");
  }
  const last = path.basename(full);
  const parts = /^([^.]*)\.(.*)$/.exec(last);
  if (!parts) throw new faults.MalformedHandlerName("Bad handler");
  let module;
  try {
    module = await loadModule(root, full.substring(0, full.indexOf(last)), parts[1]);
  } catch (error) {
    if (error instanceof SyntaxError) throw new faults.UserCodeSyntaxError(error);
    if (error?.code === "MODULE_NOT_FOUND") throw new faults.ImportModuleError(error);
    throw error;
  }
  const handler = parts[2].split(".").reduce((found, key) => found && found[key], module);
  if (!handler) throw new faults.HandlerNotFound(`${full} is undefined or not exported`);
  if (typeof handler !== "function") throw new faults.HandlerNotFound(`${full} is not a function`);
  if (handler[STREAMING] && handler[STREAMING] !== "response") {
    throw new faults.MalformedStreamingHandler("Only response streaming is supported.");
  }
  return handler;
}

// ---- streaming handlers: each write goes out as it comes; the socket's pace is the stream's ----

class ResponseStream extends Writable {
  #sequence;
  #begun = false;

  constructor(highWaterMark, sequence) {
    super({ highWaterMark, decodeStrings: true });
    this.#sequence = sequence;
    this.contentType = "application/octet-stream";
    this.started = false;
  }

  setContentType(contentType) {
    if (this.started) {
      throw new faults.InvalidStreamingOperation("Cannot set content-type, too late.");
    }
    this.contentType = contentType;
  }

  write(chunk, ...rest) {
    const raw = typeof chunk === "string" || Buffer.isBuffer(chunk) || chunk instanceof Uint8Array;
    if (!this.started) {
      this.started = true;
      this._onBeforeFirstWrite?.((prelude) => super.write(prelude));
    }
    return super.write(raw ? chunk : JSON.stringify(chunk), ...rest);
  }

  _write(chunk, _encoding, done) {
    this.#begin();
    for (let at = 0; at < chunk.length; at += CHUNK_BYTES_MAX) {
      const part = chunk.subarray(at, at + CHUNK_BYTES_MAX);
      const last = at + CHUNK_BYTES_MAX >= chunk.length;
      send(CHUNK, {}, part, this.#sequence, last ? () => done() : undefined);
    }
    if (!chunk.length) done();
  }

  _final(done) {
    this.#begin();
    done();
  }

  #begin() {
    if (this.#begun) return;
    this.#begun = true;
    send(STREAM, { content: this.contentType }, "", this.#sequence);
  }
}

class HttpResponseStream {
  static from(stream, prelude) {
    stream.setContentType("application/vnd.awslambda.http-integration-response");
    stream._onBeforeFirstWrite = (write) => {
      write(JSON.stringify(prelude));
      write(new Uint8Array(8));
    };
    return stream;
  }
}

// ---- one invocation ----

const runtime = { handler: undefined }; // called as its method, which stack traces show
let whenEmpty = () => {}; // what happens when nothing is left to wait for
let onFatal = (error, code) => failInit(error, code);

function stringify(value) {
  try {
    return JSON.stringify(value === undefined ? null : value);
  } catch {
    throw new Error("Unable to stringify response body");
  }
}

function next(kind, meta, payload, sequence) {
  whenEmpty = () => {};
  send(kind, meta, payload, sequence);
  socket.ref(); // waiting for an event keeps the process; working on one does not
}

function answer(value, sequence) {
  next(RESULT, {}, stringify(value) ?? "", sequence);
}

function answerError(error, sequence) {
  logError("Invoke Error", error);
  const report = errorObject(error);
  next(ERROR, { type: report.errorType }, JSON.stringify(report), sequence);
}

function parseMember(text, name) {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error.toString()}`);
  }
}

function describe(context, meta) {
  if (meta.trace) env._X_AMZN_TRACE_ID = meta.trace;
  else delete env._X_AMZN_TRACE_ID;
  return Object.assign(context, {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parseMember(meta.client, "ClientContext"),
    identity: parseMember(meta.cognito, "CognitoIdentity"),
    invokedFunctionArn: meta.arn,
    awsRequestId: meta.id,
    tenantId: meta.tenant,
    getRemainingTimeInMillis: () => meta.deadline - Date.now(),
  });
}

function waiting(context) {
  let wait = true;
  Object.defineProperty(context, "callbackWaitsForEmptyEventLoop", {
    enumerable: true,
    get: () => wait,
    set: (value) => { wait = value; },
  });
  return context;
}

function invoke(meta, payload, sequence) {
  requestId = meta.id;
  tenantId = meta.tenant;
  socket.unref();
  onFatal = (error, code) => {
    const report = errorObject(error);
    send(ERROR, { type: report.errorType }, JSON.stringify(report), sequence,
      () => process.exit(code));
  };
  if (runtime.handler[STREAMING]) return invokeStreaming(meta, payload, sequence);
  return invokeBuffered(meta, payload, sequence);
}

function invokeBuffered(meta, payload, sequence) {
  let answered = false;
  const complete = (error, result) => {
    whenEmpty = () => {};
    if (error !== undefined && error !== null) {
      answered = true;
      answerError(error, sequence);
    } else if (answered) {
      console.error("Invocation has already been reported as done. "
        + "Cannot call complete more than once per invocation.");
    } else {
      answered = true;
      answer(result, sequence);
    }
  };
  const context = waiting({});
  let finished = false;
  const first = (action) => (...args) => {
    if (finished) return;
    action(...args);
    finished = true;
  };
  const callback = first((error, result) => {
    if ((error !== undefined && error !== null) || !context.callbackWaitsForEmptyEventLoop) {
      complete(error, result);
    } else {
      whenEmpty = () => setImmediate(() => complete(null, result));
    }
  });
  context.succeed = first((result) => complete(null, result));
  context.fail = first((error) => complete(error ?? "handled"));
  context.done = first(complete);
  whenEmpty = () => {
    answered = true;
    answer(null, sequence);
  };
  try {
    const result = runtime.handler(JSON.parse(payload.toString()), describe(context, meta), callback);
    if (typeof result?.then === "function") {
      result.then(context.succeed, context.fail).catch(context.fail);
    }
  } catch (error) {
    callback(error);
  }
}

async function invokeStreaming(meta, payload, sequence) {
  const stream = new ResponseStream(runtime.handler[STREAMING_HIGH_WATER_MARK], sequence);
  const context = waiting({});
  const finish = () => next(RESULT, {}, "", sequence);
  try {
    const result = runtime.handler(JSON.parse(payload.toString()), stream, describe(context, meta));
    if (typeof result?.then !== "function") {
      throw "Streaming does not support non-async handlers.";
    }
    if ((await result) !== undefined) console.warn("Streaming handlers ignore return values.");
    if (!stream.writableEnded) throw "Response stream is not finished.";
    if (stream.writableFinished) finish();
    else stream.once("finish", finish);
  } catch (error) {
    answerError(error, sequence);
  }
}

// ---- start ----

function failInit(error, code) {
  const report = errorObject(error);
  send(INIT_ERROR, { type: report.errorType }, JSON.stringify(report), 0,
    () => process.exit(code));
}

async function main() {
  patchConsole();
  process.on("uncaughtException", (error) => {
    logError("Uncaught Exception", error);
    onFatal(error, 129);
  });
  process.on("unhandledRejection", (reason) => {
    const error = new faults.UnhandledPromiseRejection(reason);
    error.reason = reason;
    logError("Unhandled Promise Rejection", error);
    onFatal(error, 128);
  });
  process.on("beforeExit", () => whenEmpty());
  socket.on("data", received);
  socket.on("error", () => process.exit(0));
  socket.on("close", () => process.exit(0));
  if (!["1", "true"].includes(env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) {
    globalThis.awslambda = {
      streamifyResponse: (wrapped, options) => {
        wrapped[STREAMING] = "response";
        if (typeof options?.highWaterMark === "number") {
          wrapped[STREAMING_HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
        }
        return wrapped;
      },
      HttpResponseStream,
    };
  }
  try {
    runtime.handler = await findHandler(env.LAMBDA_TASK_ROOT ?? process.cwd(), env._HANDLER);
  } catch (error) {
    logError("Uncaught Exception", error);
    failInit(error, 129);
    return;
  }
  send(READY, {}, "", 0);
}

await main();
