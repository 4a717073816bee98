// Questions to the server: relative addresses, so that any prefix of a proxy will do.

const LABEL = "x-imgstore-frame";

export class Trouble extends Error {
  constructor(text, status, label = null) {
    super(text);
    this.status = status;
    this.label = label;
  }
}

export function address(what, parameters = {}) {
  const url = new URL(`api/${what}`, document.baseURI);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

async function fetched(what, parameters, signal) {
  const banner = document.getElementById("offline");
  let response;
  try {
    response = await fetch(address(what, parameters), { signal, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    banner.hidden = false;
    throw new Trouble("The server does not answer.", 0);
  }
  banner.hidden = true;
  return response;
}

export async function ask(what, parameters, signal) {
  const response = await fetched(what, parameters, signal);
  let value = null;
  try {
    value = await response.json();
  } catch {
    // not JSON: refused before it came to the page's own answers
  }
  if (!response.ok || value === null) throw new Trouble(value?.error ?? `The server refused this (${response.status}).`, response.status);
  return value;
}

// The bytes of a frame, the label that says which one it is, and how many ms they took from the first to the last.
export async function askFrame(parameters, signal) {
  const response = await fetched("frame", parameters, signal);
  const text = response.headers.get(LABEL);
  const label = text ? JSON.parse(text) : null;
  if (!response.ok) {
    let said = `The server refused this (${response.status}).`;
    try {
      said = (await response.json()).error;
    } catch {
      // as above
    }
    throw new Trouble(said, response.status, label);
  }
  const began = performance.now();
  const data = await response.arrayBuffer();
  return { label, data, type: response.headers.get("content-type"), took: Math.max(0.5, performance.now() - began) };
}

// Only the newest of several questions counts: those before it are given up.
export function newest(work) {
  let running = null;
  return async (...given) => {
    running?.abort();
    const mine = (running = new AbortController());
    try {
      return await work(mine.signal, ...given);
    } catch (error) {
      if (error.name === "AbortError" || mine.signal.aborted) return undefined;
      throw error;
    }
  };
}
