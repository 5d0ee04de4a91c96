// Streams, as the Streams standard has them, without BYOB readers: a byte stream is read as any.

// A promise with what settles it; nobody has to look at it.
function deferred() {
  const made = Promise.withResolvers();
  made.promise.catch(() => {});
  return made;
}

function sizeOf(strategy, chunk) {
  return strategy?.size ? Number(strategy.size(chunk)) : 1;
}

export class ReadableStream {
  #source;
  #strategy;
  #state = "readable";
  #error;
  #queue = [];
  #size = 0;
  #waiting = [];
  #reader = null;
  #closing = false;
  #pulling = false;
  #again = false;
  #started;
  #closed = deferred();

  constructor(source = {}, strategy = {}) {
    this.#source = source ?? {};
    this.#strategy = strategy;
    const started = this.#source.start?.(this.#controller);
    this.#started = started instanceof Promise ? false : true;
    if (!this.#started) {
      started.then(
        () => {
          this.#started = true;
          this.#pull();
        },
        error => this.#fail(error),
      );
    }
    this.#pull();
  }

  static from(items) {
    const iterator = items[Symbol.asyncIterator]?.() ?? items[Symbol.iterator]();
    return new ReadableStream(
      {
        async pull(controller) {
          const { done, value } = await iterator.next();
          if (done) controller.close();
          else controller.enqueue(await value);
        },
        cancel: reason => iterator.return?.(reason),
      },
      { highWaterMark: 0 },
    );
  }

  get #room() {
    return (this.#strategy?.highWaterMark ?? 1) - this.#size;
  }

  #controller = (stream => ({
    get desiredSize() {
      if (stream.#state === "errored") return null;
      return stream.#state === "closed" ? 0 : stream.#room;
    },
    byobRequest: null,
    enqueue(chunk) {
      if (stream.#state !== "readable" || stream.#closing) {
        throw new TypeError("the stream takes nothing more");
      }
      const waiting = stream.#waiting.shift();
      if (waiting) waiting.resolve({ value: chunk, done: false });
      else {
        const size = sizeOf(stream.#strategy, chunk);
        stream.#queue.push({ chunk, size });
        stream.#size += size;
      }
      stream.#pull();
    },
    close() {
      if (stream.#state !== "readable" || stream.#closing) {
        throw new TypeError("the stream is closed already");
      }
      stream.#closing = true;
      if (stream.#queue.length === 0) stream.#close();
    },
    error: reason => stream.#fail(reason),
  }))(this);

  #pull() {
    if (this.#state !== "readable" || this.#closing || !this.#started) return;
    if (!this.#source.pull || (this.#waiting.length === 0 && this.#room <= 0)) return;
    if (this.#pulling) {
      this.#again = true;
      return;
    }
    this.#pulling = true;
    Promise.try(() => this.#source.pull(this.#controller)).then(
      () => {
        this.#pulling = false;
        if (this.#again) {
          this.#again = false;
          this.#pull();
        }
      },
      error => this.#fail(error),
    );
  }

  #close() {
    this.#state = "closed";
    for (const waiting of this.#waiting.splice(0)) waiting.resolve({ value: undefined, done: true });
    this.#closed.resolve();
  }

  #fail(error) {
    if (this.#state !== "readable") return;
    this.#state = "errored";
    this.#error = error;
    this.#queue = [];
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    this.#closed.reject(error);
  }

  #read() {
    if (this.#queue.length) {
      const { chunk, size } = this.#queue.shift();
      this.#size -= size;
      if (this.#closing && this.#queue.length === 0) this.#close();
      else this.#pull();
      return Promise.resolve({ value: chunk, done: false });
    }
    if (this.#state === "closed") return Promise.resolve({ value: undefined, done: true });
    if (this.#state === "errored") return Promise.reject(this.#error);
    const waiting = Promise.withResolvers();
    this.#waiting.push(waiting);
    this.#pull();
    return waiting.promise;
  }

  async #cancel(reason) {
    if (this.#state === "errored") throw this.#error;
    if (this.#state === "closed") return;
    this.#queue = [];
    this.#close();
    await this.#source.cancel?.(reason);
  }

  get locked() {
    return this.#reader !== null;
  }

  getReader() {
    if (this.locked) throw new TypeError("the stream is read already");
    const released = () => {
      if (this.#reader !== reader) throw new TypeError("the reader was released");
    };
    const reader = {
      closed: this.#closed.promise,
      read: async () => {
        released();
        return this.#read();
      },
      cancel: async reason => {
        released();
        return this.#cancel(reason);
      },
      releaseLock: () => {
        if (this.#reader === reader) this.#reader = null;
      },
    };
    this.#reader = reader;
    return reader;
  }

  async cancel(reason) {
    if (this.locked) throw new TypeError("the stream is read by another");
    return this.#cancel(reason);
  }

  async *values({ preventCancel = false } = {}) {
    const reader = this.getReader();
    let ended = false;
    try {
      for (;;) {
        const { value, done } = await reader.read().catch(error => {
          ended = true;
          throw error;
        });
        if (done) {
          ended = true;
          return;
        }
        yield value;
      }
    } finally {
      if (!ended && !preventCancel) await reader.cancel();
      reader.releaseLock();
    }
  }

  [Symbol.asyncIterator](options) {
    return this.values(options);
  }

  tee() {
    const reader = this.getReader();
    const branches = [];
    const pull = async () => {
      const { value, done } = await reader.read();
      for (const branch of branches) {
        if (branch.cancelled) continue;
        if (done) branch.controller.close();
        else branch.controller.enqueue(value);
      }
    };
    const branch = () => {
      const own = { cancelled: false };
      branches.push(own);
      return new ReadableStream({
        start(controller) {
          own.controller = controller;
        },
        pull,
        async cancel(reason) {
          own.cancelled = true;
          if (branches.every(({ cancelled }) => cancelled)) await reader.cancel(reason);
        },
      });
    };
    return [branch(), branch()];
  }

  async pipeTo(target, { preventClose, preventAbort, preventCancel, signal } = {}) {
    const writer = target.getWriter();
    const reader = this.getReader();
    try {
      for (;;) {
        signal?.throwIfAborted();
        const { value, done } = await reader.read().catch(error => {
          if (!preventAbort) writer.abort(error);
          throw error;
        });
        if (done) break;
        await writer.ready;
        await writer.write(value).catch(error => {
          if (!preventCancel) reader.cancel(error);
          throw error;
        });
      }
      if (!preventClose) await writer.close();
    } finally {
      reader.releaseLock();
      writer.releaseLock();
    }
  }

  pipeThrough({ readable, writable }, options) {
    this.pipeTo(writable, options).catch(() => {});
    return readable;
  }
}

export class WritableStream {
  #sink;
  #writer = null;
  #state = "writable";
  #error;
  #last;
  #closed = deferred();

  constructor(sink = {}) {
    this.#sink = sink ?? {};
    this.#last = Promise.try(() => this.#sink.start?.(this.#controller));
    this.#last.catch(error => this.#fail(error));
  }

  #controller = { error: reason => this.#fail(reason) };

  #fail(error) {
    if (this.#state === "closed" || this.#state === "errored") return;
    this.#state = "errored";
    this.#error = error;
    this.#closed.reject(error);
  }

  // One after the other.
  #then(act) {
    const next = this.#last.then(() => {
      if (this.#state === "errored") throw this.#error;
      return act();
    });
    this.#last = next.catch(error => {
      this.#fail(error);
      throw error;
    });
    this.#last.catch(() => {});
    return next;
  }

  get locked() {
    return this.#writer !== null;
  }

  getWriter() {
    if (this.locked) throw new TypeError("the stream is written by another");
    const stream = this;
    const writer = {
      get closed() {
        return stream.#closed.promise;
      },
      get ready() {
        return stream.#last.then(() => undefined);
      },
      get desiredSize() {
        return stream.#state === "writable" ? 1 : 0;
      },
      async write(chunk) {
        if (stream.#state !== "writable") throw stream.#error ?? new TypeError("it is closed");
        return stream.#then(() => stream.#sink.write?.(chunk, stream.#controller));
      },
      close: () => stream.#end(),
      abort: reason => stream.abort(reason),
      releaseLock() {
        if (stream.#writer === writer) stream.#writer = null;
      },
    };
    this.#writer = writer;
    return writer;
  }

  async #end() {
    if (this.#state !== "writable") throw this.#error ?? new TypeError("it is closed already");
    this.#state = "closing";
    await this.#then(() => this.#sink.close?.(this.#controller));
    this.#state = "closed";
    this.#closed.resolve();
  }

  close() {
    return this.#end();
  }

  async abort(reason) {
    if (this.#state === "closed" || this.#state === "errored") return;
    this.#fail(reason);
    await this.#sink.abort?.(reason);
  }
}

export class TransformStream {
  constructor(transformer = {}, _writable, readable = { highWaterMark: 0 }) {
    let output;
    // Settled when what is read asks for more.
    let wanted = deferred();
    this.readable = new ReadableStream(
      {
        start(controller) {
          output = controller;
        },
        pull() {
          wanted.resolve();
        },
        cancel(reason) {
          wanted.resolve();
          return transformer.cancel?.(reason);
        },
      },
      readable,
    );
    const controller = {
      get desiredSize() {
        return output.desiredSize;
      },
      enqueue(chunk) {
        // What follows waits until it is asked for, which this may do at once.
        wanted = deferred();
        output.enqueue(chunk);
      },
      error: reason => output.error(reason),
      terminate: () => output.close(),
    };
    this.writable = new WritableStream({
      start: () => transformer.start?.(controller),
      async write(chunk) {
        await wanted.promise;
        try {
          if (transformer.transform) await transformer.transform(chunk, controller);
          else controller.enqueue(chunk);
        } catch (error) {
          output.error(error);
          throw error;
        }
      },
      async close() {
        await transformer.flush?.(controller);
        output.close();
      },
      abort: reason => output.error(reason),
    });
  }
}

export class CountQueuingStrategy {
  constructor({ highWaterMark }) {
    this.highWaterMark = highWaterMark;
  }

  size() {
    return 1;
  }
}

export class ByteLengthQueuingStrategy {
  constructor({ highWaterMark }) {
    this.highWaterMark = highWaterMark;
  }

  size(chunk) {
    return chunk.byteLength;
  }
}
