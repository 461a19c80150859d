// Node-RED as an intake: no editor, no telemetry, nothing outside. PORT, DATABASE and SECRET come by the environment.
const path = require("path");

module.exports = {
    uiHost: "127.0.0.1",
    uiPort: Number(process.env.PORT),
    flowFile: path.join(__dirname, "flows.json"),
    readOnly: true,
    credentialSecret: false,
    httpAdminRoot: false,
    disableEditor: true,
    telemetry: { enabled: false, updateNotification: false },
    externalModules: { autoInstall: false, palette: { allowInstall: false }, modules: { allowInstall: false } },
    logging: { console: { level: "warn", metrics: false, audit: false } },
    functionGlobalContext: {
        crypto: require("crypto"),
        // What the flow's function looks at. Here, because a function's text runs anew for every message.
        intake: {
            secret: Buffer.from(process.env.SECRET, "base64"),
            categories: [
                ["after_sales", ["退款", "退货", "换货", "签收", "物流", "发货", "发票", "refund", "parcel", "order", "invoice"]],
                ["complaint", ["投诉", "没有人联系", "打不通", "complaint", "nobody", "waiting"]],
                ["suggestion", ["建议", "增加", "would be great", "dark mode"]],
                ["consultation", ["请问", "怎么", "需要", "how do i", "could you"]],
            ],
            urgent: ["紧急", "非常着急", "无法打开", "cannot work", "urgent"],
            teams: { after_sales: "logistics", complaint: "care", suggestion: "product", consultation: "desk" },
        },
    },
};
