// The cat of the server: everybody's. Each click is a request, and counts once however often it is sent.

const RETRIES = [200, 800];
const PATIENCE = 10_000;

// Where no more than ten seconds passed, tries again what may not have arrived. The id stays the same.
export async function offer(treat, name) {
  const body = JSON.stringify({ id: newId(), treat, name });
  for (const wait of [...RETRIES, undefined]) {
    const answer = await post(body);
    // Too many clicks are not tried again: the visitor is told.
    if (answer && answer.status < 500) return answer;
    if (wait === undefined) return undefined;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

async function post(body) {
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const headers = { "content-type": "application/json" };
    const answer = await fetch("clicks", { method: "POST", headers, body, signal });
    return { status: answer.status, ...(await answer.json()) };
  } catch {
    return undefined;
  }
}

// `crypto.randomUUID` is missing where a page comes by plain HTTP from another machine.
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Hears the tally, and connects again whenever it breaks off, a little later each time.
export function listen({ told, came, left }) {
  let wait = 500;
  const connect = () => {
    const socket = new WebSocket(new URL("tally", location.href.replace(/^http/, "ws")));
    socket.onopen = () => {
      wait = 500;
      came();
    };
    socket.onmessage = ({ data }) => told(JSON.parse(data));
    socket.onclose = () => {
      left();
      setTimeout(connect, wait * (1 + Math.random()));
      wait = Math.min(wait * 2, 15_000);
    };
  };
  connect();
}
