// The tally: tells all open pages how the cat is, and what has just happened to it. A page hears how things are
// as it connects; then, each time something is in the queue, all hear it by the topic that they joined.

const STATE = "http://judge.spin.internal/state";

// So much of what happened at once is told; the score has all of it.
const HEADLINES = 8;

const tell = async (news) => Response.json({ cat: await (await fetch(STATE)).json(), news });

// The queue is emptied by batches.
function happened(batch) {
  const told = batch.map((event) => event.data).filter((data) => data?.reply);
  return tell(told.slice(-HEADLINES));
}

export default {
  async fetch(request) {
    switch (request.headers.get("ce-type")) {
      case "dayfly.websocket.open":
        return tell([]);
      case "dayfly.websocket.close":
        return new Response(null, { status: 204 });
      case "dayfly.websocket.message":
        // Pages only listen: a connection that talks is closed.
        return new Response(null, { status: 400 });
      default:
        return happened(await request.json());
    }
  },
};
