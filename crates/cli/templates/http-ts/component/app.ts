function greeting(name: string): string {
  return `hello ${name}\n`;
}

export default {
  async fetch(request: Request): Promise<Response> {
    const name = new URL(request.url).searchParams.get("name") ?? "world";
    return new Response(greeting(name));
  },
};
