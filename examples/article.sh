#!/bin/sh
# Color App from AWS's own templates, as its article deploys it, without an AWS account.
#
#   git clone https://github.com/aws/aws-app-mesh-examples
#   weft demo --no-mesh                       # the containers of the article, as processes
#   AWS_EXAMPLES=aws-app-mesh-examples sh examples/article.sh
#
# Every command is the AWS CLI as it comes; `eval "$(weft env)"` points it here. What
# the article builds as ECS services runs in the demo already, waiting for its mesh, so
# that task definitions are names only, and the load balancer is the demo's gateway.
set -eu

: "${AWS_EXAMPLES:?set it to a clone of aws-app-mesh-examples}"
ENVIRONMENT_NAME=${ENVIRONMENT_NAME:-DEMO}
MESH_NAME=${MESH_NAME:-my-first-appmesh}
SERVICES_DOMAIN=${SERVICES_DOMAIN:-myapp.local}
KEY_PAIR_NAME=${KEY_PAIR_NAME:-key}
GATEWAY=127.0.0.1:${WEFT_DEMO_GATEWAY_PORT:-7480}

settings=$(weft env)
eval "$settings"

deploy() {
    stack=$ENVIRONMENT_NAME-$1 template=$AWS_EXAMPLES/examples/$2
    shift 2
    aws cloudformation deploy --stack-name "$stack" --template-file "$template" \
        --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset \
        --parameter-overrides "EnvironmentName=$ENVIRONMENT_NAME" "$@"
}

color() {
    # Joined by &&, so that in `until` a refused connection is not taken for an answer.
    curl -sS --fail --max-time 20 "$endpoint/color" && echo
}

# The value that AWS would make up: where the load balancer answers.
weft stack set "$ENVIRONMENT_NAME-ecs-colorapp" "PublicLoadBalancer.DNSName=$GATEWAY"

# The network, the mesh, the cluster, the mesh's resources, the services.
deploy vpc infrastructure/vpc.yaml
deploy appmesh-mesh infrastructure/appmesh-mesh.yaml "AppMeshMeshName=$MESH_NAME"
deploy ecs-cluster infrastructure/ecs-cluster.yaml \
    "KeyName=$KEY_PAIR_NAME" "ECSServicesDomain=$SERVICES_DOMAIN"
deploy appmesh-colorapp apps/colorapp/servicemesh/appmesh-colorapp.yaml \
    "AppMeshMeshName=$MESH_NAME" "ServicesDomain=$SERVICES_DOMAIN"
deploy ecs-colorapp apps/colorapp/ecs/ecs-colorapp.yaml \
    "AppMeshMeshName=$MESH_NAME" "ECSServicesDomain=$SERVICES_DOMAIN" \
    "ColorGatewayTaskDefinition=$ENVIRONMENT_NAME-ColorGateway" \
    "ColorTellerWhiteTaskDefinition=$ENVIRONMENT_NAME-ColorTeller-white" \
    "ColorTellerRedTaskDefinition=$ENVIRONMENT_NAME-ColorTeller-red" \
    "ColorTellerBlueTaskDefinition=$ENVIRONMENT_NAME-ColorTeller-blue" \
    "ColorTellerBlackTaskDefinition=$ENVIRONMENT_NAME-ColorTeller-black"

endpoint=$(aws cloudformation describe-stacks --stack-name "$ENVIRONMENT_NAME-ecs-colorapp" \
    --query "Stacks[0].Outputs[?OutputKey=='ColorAppEndpoint'].OutputValue" --output text)
echo "ColorAppEndpoint is $endpoint"

# The workloads take a moment to find their mesh.
tries=0
until color >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "the gateway does not answer at $endpoint" >&2; exit 1; }
    sleep 1
done
color

# The canary: the route goes to blue and red, then to red alone.
for update in blue-80-red-20 red-100; do
    aws appmesh update-route --mesh-name "$MESH_NAME" \
        --cli-input-json "file://$AWS_EXAMPLES/examples/apps/colorapp/servicemesh/config/update_routes/colorteller-route-$update.json" \
        --query route.metadata.version --output text
    weft wait --mesh "$MESH_NAME"
    curl -sS --fail "$endpoint/color/clear"
    echo
    color
done
