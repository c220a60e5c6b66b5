/** Whoever joins reads what any other member wrote, in whatever region. */
export class Session {
  tokens = [];

  join(client) {
    const carry = (next) => async (args) => {
      if (this.tokens.length > 0) args.request.headers["x-tradewind-token"] = this.tokens.join(",");
      const result = await next(args);
      const token = result.response.headers["x-tradewind-token"];
      if (token) this.tokens = [...this.tokens, ...token.split(",")].slice(-50);
      return result;
    };
    client.middlewareStack.add(carry, { step: "build", name: "tradewindSession" });
    return client;
  }
}
